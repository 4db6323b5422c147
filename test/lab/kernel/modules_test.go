// SPDX-License-Identifier: MIT

package kernel

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fakeKernel writes what depmod would, for a few modules.
func fakeKernel(t *testing.T) *Kernel {
	t.Helper()
	k := &Kernel{Series: "6.0", Release: "6.0-test", Dir: t.TempDir()}
	dir := k.moduleDir()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"modules.dep": "kernel/net/nf_tables.ko.xz: kernel/net/nfnetlink.ko.xz kernel/lib/libcrc32c.ko.xz\n" +
			"kernel/net/nfnetlink.ko.xz:\nkernel/lib/libcrc32c.ko.xz:\nkernel/crypto/crc32c_generic.ko.xz:\n" +
			"kernel/crypto/crc32c-intel.ko.xz:\nkernel/fs/9p.ko.xz: kernel/net/9pnet.ko.xz\nkernel/net/9pnet.ko.xz:\n",
		"modules.softdep": "# comment\nsoftdep libcrc32c pre: crc32c\n",
		"modules.alias":   "alias pci:v* other\nalias crc32c crc32c_intel\nalias crc32c crc32c_generic\n",
		"modules.builtin": "kernel/net/packet/af_packet.ko\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func TestModulesComeAfterWhatTheyNeed(t *testing.T) {
	list, err := fakeKernel(t).Modules([]string{"af-packet", "nf_tables", "9p"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range list {
		name := m.Name
		if m.Optional {
			name += "?"
		}
		got = append(got, name)
	}
	// libcrc32c fails to load unless a crc32c is there, which only modules.softdep tells.
	want := []string{"crc32c_generic?", "libcrc32c", "nfnetlink", "nf_tables", "9pnet", "9p"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestUnknownModule(t *testing.T) {
	if list, err := fakeKernel(t).Modules([]string{"nonesuch"}); err == nil {
		t.Errorf("got %v for a module that is not there", list)
	}
}

func TestSortTakesTheConfigurationAtItsWord(t *testing.T) {
	k := fakeKernel(t)
	config := "CONFIG_IP_SCTP=m\n# CONFIG_IP_DCCP is not set\nCONFIG_HZ=250\n"
	if err := os.WriteFile(filepath.Join(k.moduleDir(), "config"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	names, lacks, err := k.Sort([]Need{{"9p", ""}, {"sctp", "CONFIG_IP_SCTP"}, {"dccp_ipv6", "CONFIG_IP_DCCP"}, {"clock", "CONFIG_HZ"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"9p", "sctp"}, names); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"CONFIG_IP_DCCP", "CONFIG_HZ"}, lacks); diff != "" {
		t.Errorf("options not set (-want +got):\n%s", diff)
	}
}
