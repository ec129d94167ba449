# The front door. `make help` lists what there is; every script in qemu-optee/ has --help.
.DEFAULT_GOAL := help
.PHONY: help demo test check host-test qemu-test tutorial fuzz bench tas shell
# Options of `make tas`, handed on to ta/tas.
export TA_DEV_KIT_DIR TA_SIGN_KEY TA_VERSION

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 22

demo: ## sets everything up, boots stock OP-TEE and lets a virtual card pay in it
	@qemu-optee/demo

test: check host-test qemu-test tutorial ## sets everything up and runs every check and test

check: ## formatting, and lints as errors for host, guest and TA targets
	@tools/check

host-test: ## tests on the host, the simulated TEE included
	@tools/host-test

qemu-test: ## tests on real OP-TEE: ours, xtest, power loss at every point
	@qemu-optee/test

tutorial: ## does what docs/first-trustlet.md says, on real OP-TEE
	@tools/first-trustlet

fuzz: ## fuzzes what comes from outside: documents, messages, frames, modules; a minute each
	@tools/fuzz

bench: ## measures on real OP-TEE in instructions; target/bench/results.json
	@qemu-optee/bench

tas: ## signed trusted apps in target/tas; for a board: make tas TA_DEV_KIT_DIR=... TA_SIGN_KEY=... TA_VERSION=...
	@ta/tas

shell: ## a shell in the guest
	@qemu-optee/guest-build && qemu-optee/shell

