// SPDX-License-Identifier: MIT

package vm

import (
	"strconv"

	"shim6/test/lab/report"
)

func qemuArguments(o Options) []string {
	// A panic ends QEMU: the kernel reboots at once and -no-reboot turns that into an exit.
	command := "panic=-1 oops=panic nokaslr random.trust_bootloader=on console=ttyS0 " + logLevel(o)
	if o.Root != "" {
		// What a server does by itself once a day would come between.
		command += " root=/dev/vda rw fsck.mode=skip systemd.mask=apt-daily.timer systemd.mask=apt-daily-upgrade.timer systemd.mask=man-db.timer" +
			" systemd.mask=e2scrub_reap.service"
	}
	processor := "Nehalem"
	if o.Emulator != "" {
		processor = "max"
	}
	console := "stdio"
	if o.Interactive {
		console = "mon:stdio"
	}
	args := []string{
		"-machine", "pc", "-cpu", processor, "-smp", strconv.Itoa(max(1, o.CPUs)), "-m", strconv.Itoa(o.MemoryMB),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", o.Image, "-initrd", o.Initramfs, "-append", command,
		"-serial", console,
		"-chardev", "file,id=port,path=/dev/fd/3", "-serial", "chardev:port",
		"-fsdev", "local,id=share,path=" + o.Share + ",security_model=none",
		"-device", "virtio-9p-pci,fsdev=share,mount_tag=" + report.ShareTag,
	}
	if o.Root != "" {
		args = append(args,
			"-drive", "file="+o.Root+",format=raw,if=none,id=root,snapshot=on,cache=unsafe", "-device", "virtio-blk-pci,drive=root",
			"-drive", "file="+o.Files+",format=raw,if=none,id=files,readonly=on", "-device", "virtio-blk-pci,drive=files,serial=lab")
	}
	switch {
	case o.Root != "":
		// Instructions are its clock, so that limits of time do not depend on how busy this machine is, but it is not skipped while
		// the guest waits for a disk.
		args = append(args, "-accel", "tcg,thread=single", "-icount", "shift=0,sleep=on", "-rtc", "base=utc,clock=vm")
	case o.FastTime:
		args = append(args, "-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off",
			"-seed", strconv.FormatUint(o.Seed, 10), "-rtc", "base=2026-01-01T00:00:00,clock=vm")
	default:
		args = append(args, "-accel", "tcg", "-rtc", "base=utc")
	}
	return args
}

// logLevel says what the kernel shows on its console: complaints, and everything when it is debugged.
func logLevel(o Options) string {
	switch {
	case o.Interactive:
		return "loglevel=3"
	case o.Debug:
		return "loglevel=8 kasan_multi_shot log_buf_len=16M"
	default:
		return "loglevel=5"
	}
}
