# SPDX-License-Identifier: GPL-2.0-or-later
#
# Front doors.  Each configures and builds first when that is needed.

PYTHON = /usr/bin/python3
export DESTDIR

all: build/build.ninja
	@ninja --quiet -C build

build/build.ninja:
	@./configure

demo: all
	@tests/demo/demo

check: build/build.ninja
	@$(PYTHON) scripts/run-tests.py

check-slow: build/build.ninja
	@$(PYTHON) scripts/run-tests.py --suite slow

bench: all
	@tests/bench/run

# Hours of migrations under everything that can happen; goes on where it ended.
# SEED=N repeats one.
HOURS = 2
soak: all kvm-modules
	@ninja --quiet -C build tests/scenarios/refuse-log.so
	@tests/soak/run $(if $(SEED),--seed $(SEED),--hours $(HOURS))

install: all
	@$(PYTHON) scripts/install.py

upstream: build/build.ninja
	@ninja --quiet -C build upstream

# KVM's modules for the lab's kernel, with patches/linux.
kvm-modules: build/build.ninja
	@$(PYTHON) scripts/kvm_modules.py

# The kernel's own tests of KVM, for the lab.
kvm-selftests: build/build.ninja
	@$(PYTHON) scripts/kvm_selftests.py

# A Debian package of this QEMU.
deb: build/build.ninja
	@$(PYTHON) scripts/qemu_deb.py

# A Debian package that builds those modules wherever it is installed.
dkms-deb: build/build.ninja
	@$(PYTHON) scripts/dkms_deb.py

lab-shell: all
	@tests/lab/shell

# What was compiled; sources, packages and the compiler cache stay.
clean:
	rm -rf build/qemu build/upstream build/deb build/build.ninja build/meson-* build/tests

distclean:
	rm -rf build

help:
	@echo 'make              build QEMU with our dirty tracking (build/qemu)'
	@echo 'make demo         watch a busy guest being live-migrated, ring against bitmap'
	@echo 'make check        run the tests; make check-slow: those that take longer'
	@echo 'make bench        measure it against upstream (some hours; docs/bench.md)'
	@echo 'make soak         migrate under everything that can happen, for HOURS=2; SEED=N'
	@echo '                  repeats one (docs/testing.md)'
	@echo 'make install      install QEMU (DESTDIR=DIR; prefix: ./configure --prefix=DIR)'
	@echo 'make deb          package QEMU, to install beside Debian'"'"'s (docs/packages.md)'
	@echo 'make upstream     build the same QEMU without our patches (build/upstream)'
	@echo 'make kvm-modules  build KVM with patches/linux (docs/kernel.md)'
	@echo 'make kvm-selftests  build the kernel selftests of KVM (docs/kernel.md)'
	@echo 'make dkms-deb     package these patches for Debian hosts (docs/kernel.md)'
	@echo 'make lab-shell    a prompt on the emulated KVM host'
	@echo 'make clean        remove what was compiled; make distclean: all of build/'
	@echo './configure --help lists what can be chosen'

.PHONY: all demo check check-slow bench soak install upstream kvm-modules kvm-selftests deb dkms-deb lab-shell clean distclean help
