# SPDX-License-Identifier: MIT
KERNEL ?= 6.12
TSEND ?= 3s
RTT ?= 20ms
SEED ?= 1
FLOOD ?= 100000
INPUTS ?= 1000000
SEEDS ?= 100000
SCRIPT ?=
FUZZTIME ?= 30s
N ?= 1000000
CASE ?=
JOBS ?= 1
SERIES := 6.1 6.12
QUICK ?=
FIGURES := fig6 fig7 fig9 fig10 fig11
KERNELS ?= $(SERIES)
MEASURE ?=

# Not part of make test: it changes under our feet, and its modules need a compiler of its own.
NEWEST := newest

# Built from Debian's source with the kernel's own checks: user-mode Linux with all of them, and one with two processors.
DEBUG := debug-uml debug-smp
ALL := $(SERIES) $(NEWEST) $(DEBUG)

ifeq ($(filter $(KERNEL),$(ALL)),)
$(error KERNEL is one of $(ALL), not $(KERNEL))
endif

BIN := build/bin
CACHE := $(or $(SHIM6_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/shim6)
# A toolchain that setup.sh had to fetch comes before an older one of the system.
export PATH := $(CACHE)/go/bin:$(PATH):/usr/sbin:/sbin
export CGO_ENABLED := 0

# The staticcheck that knows the Go of go.mod.
STATICCHECK := v0.8.2

empty :=
space := $(empty) $(empty)
comma := ,

LAB := $(BIN)/lab --build build --tsend $(TSEND) --rtt $(RTT) --seed $(SEED) --flood $(FLOOD) --inputs $(INPUTS)
PROGRAMS := $(patsubst %/,%,$(dir $(wildcard daemon/shim6d/main.go daemon/shim6ctl/main.go daemon/shim6-signer/main.go cgad/main.go cgatool/main.go)))

# Where "make install" puts things; packages set them.
DESTDIR ?=
PREFIX ?= /usr
UNITDIR ?= $(PREFIX)/lib/systemd/system
VERSION ?= $(shell sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)
LDFLAGS := -X shim6/internal/buildinfo.version=$(VERSION)
BUILT := $(BIN)/shim6d $(BIN)/shim6-signer $(BIN)/cgad $(BIN)/shim6ctl $(BIN)/cgatool

.DEFAULT_GOAL := help
.PHONY: bench bench-kernel conformance figures $(FIGURES) simulate help all build programs labtools setup $(ALL:%=setup-%) kmod $(ALL:%=kmod-%) $(DEBUG:%=bugs-%) \
	demo lab lab-list lab-shell test test-debug go-test check go-check kmod-check sim fuzz fuzz-codec fuzz-engine install-headers install \
	install-cgatool install-dkms deb cgatool-tarballs rpm package-test clean FORCE

help:
	@echo 'make demo [KERNEL=6.1|6.12|newest] [TSEND=3s] [RTT=20ms]   a provider fails under a transfer, without shim6 and with it'
	@echo 'make test            everything: Go tests, module builds, every lab case on both kernels'
	@echo 'make lab [CASE=name] [KERNEL=6.1|6.12|newest]   one lab case, or all of them'
	@echo 'make package-test    the packages installed, upgraded and purged on whole machines with Debian 12 and both kernels'
	@echo 'make test-debug      the lab on kernels with KASAN, lockdep and kmemleak, with a fuzzer in it; an hour, and half of'
	@echo '                     one more at first to build the kernels; KERNEL=debug-uml or debug-smp with make lab for one case'
	@echo 'make lab CASE=fuzz-kernel KERNEL=debug-uml [INPUTS=1000000] [SEED=1]   the fuzzer alone'
	@echo 'make lab CASE=heuristics FLOOD=1000000   with a flood of this many destinations instead of 100000'
	@echo 'make lab-list        the lab cases, one line each'
	@echo 'make lab-shell       a prompt in the network of the lab'
	@echo 'make sim [SEEDS=N] [SEED=first] [SCRIPT=file]   the protocol engine on random networks in virtual time'
	@echo 'make fuzz [FUZZTIME=30s]   every fuzzer for so long'
	@echo 'make fuzz-codec [N=messages] [SEED=first]   without coverage, some hundred times quicker; fuzz-engine likewise'
	@echo 'make conformance     what the RFCs ask, which tests show it, and whether they pass, to test/out/conformance'
	@echo 'make bench           what shim6d costs and what strangers can make it do, to test/out/bench/result.json'
	@echo 'make figures [QUICK=1]   the experiments of the paper, to test/out/figN/ and test/out/report.html; make $(subst $(space), | ,$(FIGURES)) for one'
	@echo 'make simulate        build/bin/figures, whose simulate tells what a recorded network would have held (NetFlow, IPFIX, nfdump, pcap)'
	@echo 'make bench-kernel [KERNELS="6.1 6.12 newest"] [MEASURE="scale udp64 tcp-tso tcp-sw tcp-gro kick"]   what the module costs in instructions and memory, to test/out/bench-kernel/result.json'
	@echo 'make check           style and static analysis of the Go and the C code'
	@echo 'make build           the programs, in $(BIN)'
	@echo 'make kmod            the kernel modules for Linux 6.1 and 6.12, in build/kmod'
	@echo 'make install [DESTDIR=folder]   programs, configuration, units, manuals; install-dkms, install-cgatool: the rest'
	@echo 'make deb             Debian packages and cgatool for other machines, in build/deb; make rpm: RPMs, in build/rpm'
	@echo 'make install-headers [DESTDIR=folder]   what a heuristic of your own is built with'
	@echo 'make clean           remove what was built'

all build: programs

setup:
	@test/setup.sh

$(ALL:%=setup-%): setup-%:
	@test/setup.sh $*

programs: setup
	@mkdir -p $(BIN)
	@for p in $(PROGRAMS); do go build -ldflags='$(LDFLAGS)' -o $(BIN)/$${p##*/} ./$$p || exit 1; done

labtools: setup
	@mkdir -p $(BIN)
	@go build -o $(BIN)/lab ./test/lab
	@go build -ldflags='-s -w' -o $(BIN)/labagent ./test/lab/agent
	@for p in test/steer/*; do go build -ldflags='-s -w' -o $(BIN)/steer-$${p##*/} ./$$p || exit 1; done

kmod: $(SERIES:%=kmod-%)

# Coverage steers the packet fuzzer.
KMOD_ARGS_debug-uml := ARCH=um KCOV_INSTRUMENT=y

# Debian's headers ask for pahole to make debug information that a module need not have.
$(ALL:%=kmod-%): kmod-%: setup-%
	@mkdir -p build/kmod
	@headers=$(CACHE)/kernel/$*/root/usr/src/linux-headers-$$(cat $(CACHE)/kernel/$*/release); \
	toolchain=$(CACHE)/kernel/$*/toolchain; \
	[ ! -d $$toolchain ] || export KMOD_MAKE="$(CURDIR)/test/lab/toolchain-make.sh $$toolchain"; \
	if ! kmod/build.sh $$headers build/kmod/$* W=1 KCFLAGS=-Werror CONFIG_DEBUG_INFO_BTF_MODULES= \
		$(KMOD_ARGS_$*) >build/kmod/$*.log 2>&1; then \
		cat build/kmod/$*.log; exit 1; \
	fi; \
	if ! heuristics/build-example.sh $$headers build/kmod/$* $$(cat $(CACHE)/kernel/$*/release) build/kmod/$*/example \
		KCFLAGS=-Werror CONFIG_DEBUG_INFO_BTF_MODULES= $(KMOD_ARGS_$*) >build/kmod/$*.log 2>&1; then \
		cat build/kmod/$*.log; exit 1; \
	fi; \
	if ! test/lab/nic/build.sh $$headers build/kmod/$*/nic W=1 KCFLAGS=-Werror CONFIG_DEBUG_INFO_BTF_MODULES= $(KMOD_ARGS_$*) >build/kmod/$*.log 2>&1; then \
		cat build/kmod/$*.log; exit 1; \
	fi

# The module with planted bugs, for the debug kernels.
$(DEBUG:%=bugs-%): bugs-%: setup-%
	@mkdir -p build/bugs/$*
	@cp -p test/lab/bugs/Kbuild test/lab/bugs/lab_bugs.c build/bugs/$*
	@headers=$(CACHE)/kernel/$*/root/usr/src/linux-headers-$$(cat $(CACHE)/kernel/$*/release); \
	if ! make -C $$headers M=$(CURDIR)/build/bugs/$* W=1 KCFLAGS=-Werror $(KMOD_ARGS_$*) modules >build/bugs/$*.log 2>&1; then \
		cat build/bugs/$*.log; exit 1; \
	fi

# What a heuristic outside this tree is built with: heuristics/README.md.
install-headers: kmod
	@for series in $(SERIES); do \
		kmod/install-headers.sh $(DESTDIR)/usr/include/shim6 build/kmod/$$series $$(cat $(CACHE)/kernel/$$series/release); \
	done

# The programs must have been built: "make build" as yourself, "make install" as root.
$(BUILT):
	@echo '$@ is missing: make build' >&2; exit 1

install: $(BUILT)
	install -d $(DESTDIR)/etc/shim6
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/sbin $(BIN)/shim6d $(BIN)/cgad
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(BIN)/shim6ctl
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/libexec $(BIN)/shim6-signer
	install -D -m 644 -t $(DESTDIR)/etc/shim6 configs/shim6.yaml configs/cgad.yaml
	install -D -m 644 -t $(DESTDIR)$(UNITDIR) configs/shim6d.service configs/cgad.service configs/shim6-signer.socket configs/shim6-signer@.service
	install -D -m 644 configs/shim6.modules-load $(DESTDIR)$(PREFIX)/lib/modules-load.d/shim6.conf
	install -D -m 644 configs/shim6.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/shim6.conf
	install -D -m 644 configs/shim6.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/shim6.conf
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man8 daemon/shim6d/shim6d.8 daemon/shim6-signer/shim6-signer.8 daemon/shim6ctl/shim6ctl.8 cgad/cgad.8
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man5 daemon/shim6d/shim6.yaml.5 cgad/cgad.yaml.5
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man7 daemon/shim6d/shim6-api.7
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/shim6 configs/grafana.json
	$(call completions,shim6ctl)
	$(call completions,cgad)

install-cgatool: $(BIN)/cgatool
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(BIN)/cgatool
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 cgatool/cgatool.1
	$(call completions,cgatool)

define completions
install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
$(BIN)/$(1) completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/$(1)
$(BIN)/$(1) completion zsh >$(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_$(1)
$(BIN)/$(1) completion fish >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/$(1).fish
endef

# The modules' source, for DKMS to build, and the headers for heuristics of others.
install-dkms:
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/src/shim6-$(VERSION) Kbuild
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/src/shim6-$(VERSION)/kmod kmod/Kbuild kmod/*.[ch]
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/src/shim6-$(VERSION)/kmod kmod/dkms-symvers.sh
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/src/shim6-$(VERSION)/kmod/uapi/linux kmod/uapi/linux/shim6.h
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/src/shim6-$(VERSION)/heuristics heuristics/Kbuild heuristics/*.c
	sed 's/#MODULE_VERSION#/$(VERSION)/' kmod/dkms.conf >$(DESTDIR)$(PREFIX)/src/shim6-$(VERSION)/dkms.conf
	install -D -m 644 kmod/heuristic.h $(DESTDIR)$(PREFIX)/include/shim6/heuristic.h
	install -D -m 644 kmod/uapi/linux/shim6.h $(DESTDIR)$(PREFIX)/include/shim6/linux/shim6.h

# Packages come from what is committed or added, in a folder of their own.
DEBDIR ?= build/deb
SOURCE := $(DEBDIR)/shim6-$(VERSION)

$(SOURCE)/.copied: FORCE
	@rm -rf $(DEBDIR) && mkdir -p $(SOURCE)
	@git ls-files -z | xargs -0 cp --parents -t $(SOURCE)
	@sed -i '1s/(.*)/($(VERSION))/' $(SOURCE)/debian/changelog
	@touch $@

# There is no mail address of the project to be told to lintian.
deb: setup $(SOURCE)/.copied
	@test/need.sh dpkg-buildpackage:dpkg-dev dh:debhelper dh_dkms:dh-dkms lintian:lintian
	@cd $(SOURCE) && dpkg-buildpackage --build=binary --no-sign >../build.log 2>&1 || { cat ../build.log; exit 1; }
	@cd $(DEBDIR) && lintian --allow-root --fail-on error --display-level '>=warning' --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog *.changes
	@$(MAKE) --no-print-directory cgatool-tarballs
	@ls $(DEBDIR)/*.deb $(DEBDIR)/*.tar.gz

# For machines without packages of ours: it is one static file and its manual.
cgatool-tarballs: setup
	@for arch in amd64 arm64; do \
		dir=$(DEBDIR)/cgatool-$(VERSION)-linux-$$arch; mkdir -p $$dir && \
		GOARCH=$$arch go build -trimpath -ldflags='-s -w $(LDFLAGS)' -o $$dir/cgatool ./cgatool && cp cgatool/cgatool.1 LICENSE $$dir && \
		tar -C $(DEBDIR) -czf $$dir.tar.gz --owner=0 --group=0 cgatool-$(VERSION)-linux-$$arch && rm -r $$dir || exit 1; \
	done

rpm: programs
	@test/need.sh rpmbuild:rpm
	@rpmbuild -bb --quiet --define '_topdir $(CURDIR)/build/rpm' --define 'source $(CURDIR)' --define 'version $(VERSION)' configs/shim6.spec
	@find build/rpm/RPMS -name '*.rpm'

demo: labtools programs kmod-$(KERNEL)
	@$(LAB) run --kernel $(KERNEL) demo

# Only some cases need the network managers, or a machine with Debian.
.PHONY: setup-managers setup-qemu $(SERIES:%=setup-debian-%)
setup-managers setup-qemu $(SERIES:%=setup-debian-%): setup-%:
	@test/setup.sh $*

lab: labtools programs kmod-$(KERNEL) $(if $(filter beside-% cgad-service,$(or $(CASE),cgad-service)),setup-managers) \
		$(if $(filter $(KERNEL),$(DEBUG)),bugs-$(KERNEL))
	@$(LAB) run --kernel $(KERNEL) --jobs $(JOBS) $(CASE)

lab-list: labtools
	@$(BIN)/lab list

lab-shell: labtools programs kmod-$(KERNEL)
	@$(LAB) shell --kernel $(KERNEL)

# Everything that must hold. The lab runs two guests at a time; their clocks do not depend on how busy this machine is.
test: setup go-test sim kmod labtools programs setup-managers
	@$(LAB) run --brief --jobs 2 --kernel $(subst $(space),$(comma),$(SERIES))

# The packages on whole machines with Debian 12. Not part of make test: what DKMS compiles there, three times for each kernel, takes
# longer than all other cases.
NEXT := $(VERSION)+next

package-test: labtools programs $(SERIES:%=setup-debian-%)
	@$(MAKE) --no-print-directory deb
	@$(MAKE) --no-print-directory deb DEBDIR=build/deb-next VERSION=$(NEXT)
	@$(LAB) run --brief --jobs 2 --kernel $(subst $(space),$(comma),$(SERIES)) package-install

# The lab once more, on kernels that watch the module's memory, locks and RCU sections, with a fuzzer inside. What the two must
# notice is tried, too: case planted-bugs.
test-debug: setup labtools programs $(DEBUG:%=kmod-%) $(DEBUG:%=bugs-%)
	@$(LAB) run --flood 20000 --brief --jobs 2 --kernel $(subst $(space),$(comma),$(DEBUG))

# The packages with goroutines that share data run once more under the race detector.
go-test: setup
	go vet ./...
	go test ./...
	CGO_ENABLED=1 go test -race ./daemon/ctl/... ./daemon/nl/... ./daemon/run/...

check: go-check kmod-check

go-check: setup
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not formatted by gofmt: $$unformatted"; exit 1; fi
	go vet ./...
	go run honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK) ./...
	go test ./internal/layering

# compat.h must test versions; the other three are judgements that checkpatch gets wrong here. It does not know how tracepoints
# are written.
kmod-check: setup-6.12
	@command -v sparse >/dev/null || { echo 'sparse is missing: apt-get install sparse'; exit 1; }
	@mkdir -p build/check
	@headers=$(CACHE)/kernel/6.12/root/usr/src/linux-headers-$$(cat $(CACHE)/kernel/6.12/release); rm -rf build/check/kmod; \
	kmod/build.sh $$headers build/check/kmod W=1 C=2 CHECK=sparse CONFIG_DEBUG_INFO_BTF_MODULES= >build/check/sparse.log 2>&1; \
	status=$$?; if [ $$status -ne 0 ] || grep -E '(warning|error):' build/check/sparse.log; then cat build/check/sparse.log; exit 1; fi
	@test/fetch-checkpatch.sh 6.12 $(CACHE)/checkpatch
	@perl $(CACHE)/checkpatch/checkpatch.pl --no-tree --quiet --strict --max-line-length=120 --show-types \
		--ignore LINUX_VERSION_CODE,CONSTANT_COMPARISON,MACRO_ARG_UNUSED,JIFFIES_COMPARISON \
		-f $(filter-out kmod/trace.h,$(wildcard kmod/*.[ch])) kmod/uapi/linux/*.h heuristics/*.c test/lab/bugs/*.c test/lab/nic/*.c
	@perl $(CACHE)/checkpatch/checkpatch.pl --no-tree --quiet --strict --max-line-length=120 --show-types \
		--ignore OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT -f kmod/trace.h

# Random scripts against the protocol engine, from seed SEED on; one that fails is shortened and printed. SCRIPT=file runs such a
# script again and shows what happens.
sim: setup
	@go test ./test/sim -run '^TestRandom$$' -count=1 -timeout 24h -v -args -seeds=$(SEEDS) -first=$(SEED) -script=$(abspath $(SCRIPT))

# Each fuzzer of the tree for FUZZTIME. What one finds lies in testdata/fuzz beside it, and is a test from then on.
fuzz: setup
	@mkdir -p build
	@git grep -o '^func Fuzz[A-Za-z0-9]*' -- '*_test.go' | sed 's,^\(.*\)/[^/]*:func \(.*\),\1 \2,' | while read dir fuzzer; do \
		echo "$$dir $$fuzzer"; \
		go test ./$$dir -run '^$$' -fuzz "^$$fuzzer\$$" -fuzztime $(FUZZTIME) >build/fuzz.log 2>&1 || { cat build/fuzz.log; exit 1; }; \
		grep -o 'elapsed.*' build/fuzz.log | tail -1; \
	done

# The same without coverage, so much quicker: N mutated messages, or N random sequences of events, from batch SEED on.
fuzz-codec: setup
	@go test ./daemon/wire -run '^TestMutatedMessages$$' -count=1 -timeout 24h -v -args -n=$(N) -first=$(SEED)

fuzz-engine: setup
	@go test ./daemon/engine -run '^TestRandomSequences$$' -count=1 -timeout 24h -v -args -n=$(N) -first=$(SEED)

# Each requirement of the RFCs, its tests and their results. Where it takes a real kernel, what make lab left is read: a row whose
# case has not run, or not since kmod changed, is open.
# Rows that need a real kernel are judged by what the lab left, which runs first where that is missing or older than the module.
conformance: labtools programs kmod
	@cases=$$(go run ./test/conformance --stale); [ -z "$$cases" ] || $(LAB) run --brief --jobs 2 --kernel $(subst $(space),$(comma),$(SERIES)) $$cases || true
	@go run ./test/conformance

# A measurement, not a test: it needs 3 GB of memory, and exits with 1 where a goal is missed.
bench: setup
	@go run ./test/bench --out test/out/bench/result.json

# The experiments of the paper. Each exits with 1 where a gate fails.
figures: $(BIN)/figures
	@$(BIN)/figures run $(if $(QUICK),--quick)

figures fig7 fig9 fig10: labtools programs kmod-6.12
figures fig9: kmod-6.1
figures fig7: $(BIN)/negotiators
figures fig7 fig10: setup-qemu
figures fig10: $(BIN)/initiators

$(FIGURES): $(BIN)/figures
	@$(BIN)/figures run $(if $(QUICK),--quick) $@

simulate: $(BIN)/figures
	@echo 'try: $(BIN)/figures simulate --help'

.PHONY: $(BIN)/figures $(BIN)/initiators $(BIN)/negotiators
$(BIN)/figures: setup
	@mkdir -p $(BIN)
	@go build -buildvcs=auto -o $@ ./test/figures

# What they have in the guest.
$(BIN)/initiators $(BIN)/negotiators: setup
	@mkdir -p $(BIN)
	@go build -ldflags='-s -w' -o $@ ./test/figures/$(@F)

# What the module costs, counted in instructions of a guest: a busy machine makes it slower and changes no number. Not a test;
# it exits with 1 where a goal is missed. How to read it: test/lab/bench/doc.go.
bench-kernel: labtools $(KERNELS:%=kmod-%)
	@$(LAB) bench --kernel $(subst $(space),$(comma),$(KERNELS)) $(if $(MEASURE),--measure $(subst $(space),$(comma),$(MEASURE)))

clean:
	rm -rf build test/out
