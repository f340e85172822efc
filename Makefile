# rill: make deps train    installs what is missing, builds, trains
#       make deps test     builds and passes everything
# Also: lib, examples, lint, install, uninstall, clean, and deps-browser
# test-browser, which looks at reports in a real Chromium.
# SAN=1 builds with ASan and UBSan; CC, CFLAGS and BUILD may be given, and
# BLAS, the name by which pkg-config knows a library with cblas.

ifeq ($(origin CC),default)
CC = gcc
endif
CFLAGS ?= -O3 -g
BUILD  ?= build$(if $(SAN),/san)
BLAS   ?= openblas
PREFIX ?= /usr/local
PYTHON ?= /usr/bin/python3
VERSION := $(subst $() ,.,$(shell sed -n \
    's/^\#define RILL_VERSION_[A-Z]* //p' src/tensor/tensor.h))

WARN  = -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
        -Wmissing-prototypes -Wvla
# What vector loops need, and nothing that bends NaN or infinity: fused
# multiply-add, no errno, no floating-point traps, "omp simd" without OpenMP.
# clang warns of each such loop that it leaves as it is: under sanitizers all.
# On s390x gcc would compute floats in double, were it not told.
KERNEL = -ffp-contract=fast -fno-math-errno -fno-trapping-math -fopenmp-simd \
         $(if $(findstring clang,$(CC)),-Wno-pass-failed, \
              -fexcess-precision=fast)
SANITIZE = $(if $(SAN),-fsanitize=address$(,)undefined \
           -fno-sanitize-recover=all -fno-omit-frame-pointer)
FLAGS = -std=c11 -D_POSIX_C_SOURCE=200809L $(WARN) $(KERNEL) $(CFLAGS) \
        $(SANITIZE) -fPIC -fvisibility=hidden -MMD -MP
, := ,

# Asked when a recipe runs, not when this file is read: deps may have just
# installed pkg-config.
BLAS_CFLAGS = $$(pkg-config --cflags $(BLAS))
LIBS        = $$(pkg-config --libs $(BLAS) jansson zlib) $(EXTRA_LIBS) -lm \
              -lpthread
CHECK       = $$(pkg-config --cflags --libs check)

SOURCES  := $(wildcard src/*/*.c)
OBJECTS  := $(SOURCES:%.c=$(BUILD)/%.o) $(BUILD)/page.o
LIB      := $(BUILD)/librill.a
# Programs ask the loader for the soname: it changes when they would break.
SONAME   := librill.so.$(basename $(VERSION))
SHARED   := $(BUILD)/librill.so.$(VERSION)
EXAMPLES := $(patsubst %.c,$(BUILD)/%,$(wildcard examples/*.c))
TESTS    := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/test_*.c))
HEADERS  := src/rill.h $(foreach r,tensor ops nn inspect,src/$r/$r.h)

all: lib examples
lib: $(LIB) $(SHARED)
examples: $(EXAMPLES)

# deps comes first where it is asked for, also under -j
ifneq ($(filter deps,$(MAKECMDGOALS)),)
$(OBJECTS) $(EXAMPLES) $(TESTS): | deps
endif

$(BUILD)/src/%.o: src/%.c
	@mkdir -p $(@D)
	@echo $(CC) $<
	@$(CC) $(FLAGS) $(BLAS_CFLAGS) -c $< -o $@

# The page of a report, as lines of C that the library carries.
$(BUILD)/page.c: src/inspect/page.html
	@mkdir -p $(@D)
	@{ echo 'extern const char *const rill_page[];'; \
	echo 'const char *const rill_page[] = {'; \
	sed 's/[\\"?]/\\&/g; s/.*/"&\\n",/' $<; echo '0 };'; } >$@
$(BUILD)/page.o: $(BUILD)/page.c
	@echo $(CC) $<
	@$(CC) $(FLAGS) -c $< -o $@

$(LIB): $(OBJECTS)
	@echo $(AR) $@
	@rm -f $@
	@$(AR) rcs $@ $^

$(SHARED): $(OBJECTS)
	@echo $(CC) $@
	@$(CC) $(FLAGS) -shared -Wl,-soname,$(SONAME) $^ $(LIBS) -o $@

$(BUILD)/examples/%: examples/%.c $(LIB)
	@mkdir -p $(@D)
	@echo $(CC) $<
	@$(CC) $(FLAGS) -Isrc $< $(LIB) $(LIBS) -o $@

# These count rill's allocations.
$(BUILD)/tests/test_memory $(BUILD)/bench/rill_bench: WRAP = -Wl,$(subst \
    $() ,$(,),$(patsubst %,--wrap=%,malloc calloc realloc aligned_alloc free))
$(BUILD)/tests/%: tests/%.c $(LIB)
	@mkdir -p $(@D)
	@echo $(CC) $<
	@$(CC) $(FLAGS) -Isrc $< $(LIB) $(WRAP) $(CHECK) $(LIBS) -o $@

train: $(BUILD)/examples/03_train_mlp
	$<

test: all $(TESTS)
	ASAN_OPTIONS=allocator_may_return_null=1 \
	    sh tests/run.sh $(BUILD)/tests $(notdir $(TESTS))

# Against the hand-written limit and, where it is installed, PyTorch; see
# bench/run.sh. BENCH passes its arguments: make bench BENCH="--json 2 W3 W4".
LIMIT_FLAGS = -std=gnu11 -O3 -march=native -mprefer-vector-width=512 \
              -fopenmp -fno-math-errno -fno-trapping-math
$(BUILD)/bench/limit: bench/limit.c
	@mkdir -p $(@D)
	@$(CC) $(LIMIT_FLAGS) $(BLAS_CFLAGS) $< $(LIBS) -o $@
$(BUILD)/bench/rill_bench: bench/rill_bench.c $(LIB)
	@mkdir -p $(@D)
	@$(CC) $(FLAGS) -Isrc $< $(LIB) $(WRAP) $(LIBS) -o $@
bench: $(BUILD)/bench/limit $(BUILD)/bench/rill_bench
	@sh bench/run.sh $(BUILD)/bench $(BENCH)

$(BUILD)/bench/recorder: bench/recorder.c $(LIB)
	@mkdir -p $(@D)
	@$(CC) $(FLAGS) -Isrc $< $(LIB) $(LIBS) -o $@
bench-recorder: $(BUILD)/bench/recorder
	@$<

# Valgrind knows no AVX-512, and 3.19's AVX2 loses NaNs and signs of zeros that
# processors keep: the baseline kernels run there, the others under SAN=1.
test-valgrind: all $(TESTS)
	RILL_ISA=baseline CK_FORK=no CK_DEFAULT_TIMEOUT=0 \
	RILL_RUN="valgrind -q --error-exitcode=9 --leak-check=full \
	    --show-leak-kinds=definite --errors-for-leak-kinds=definite" \
	    sh tests/run.sh $(BUILD)/tests $(notdir $(TESTS))

# ThreadSanitizer on the tests that start threads; a child of one that has some
# starts its own, which it has to be told to allow.
TSAN_TESTS = test_threads test_programs_nn
test-tsan:
	$(MAKE) BUILD=$(BUILD)/tsan CFLAGS="-O1 -g -fsanitize=thread" \
	    $(TSAN_TESTS:%=$(BUILD)/tsan/tests/%)
	TSAN_OPTIONS=die_after_fork=0 \
	    sh tests/run.sh $(BUILD)/tsan/tests $(TSAN_TESTS)

# With netlib's reference BLAS, its header and its library: -lblas alone may be
# OpenBLAS's under that name. The figures on the pages are OpenBLAS's.
NETLIB = $$(pkg-config --variable=libdir blas-netlib)/blas
test-blas:
	mkdir -p $(BUILD)/blas/include
	echo '#include <cblas-netlib.h>' >$(BUILD)/blas/include/cblas.h
	$(MAKE) BUILD=$(BUILD)/blas BLAS=blas-netlib \
	    CFLAGS="$(CFLAGS) -I$(BUILD)/blas/include" \
	    EXTRA_LIBS="-L$(NETLIB) -Wl,-rpath,$(NETLIB)" \
	    TESTS="$(filter-out %/test_docs,$(TESTS:$(BUILD)/%=$(BUILD)/blas/%))" \
	    test
	! ldd $(BUILD)/blas/tests/test_engine | grep openblas

# Lines and branches of src/ that the tests run, on every instruction set; not
# those that compile for themselves, nor the examples'. build/cover/missing.txt
# says what was not run. Functions are not inlined: gcov counts what is in all
# instances of a kernel at once.
COVER = $(BUILD)/cover
COVER_FLAGS = -O0 -g --coverage -Dalways_inline=noinline -Wno-attributes
COVER_TESTS = $(filter-out test_readme test_structure test_docs \
              test_example_%,$(notdir $(TESTS)))
coverage:
	$(MAKE) BUILD=$(COVER) CFLAGS="$(COVER_FLAGS)" \
	    $(COVER_TESTS:%=$(COVER)/tests/%)
	find $(COVER) -name '*.gcda' -delete
	for isa in baseline avx2 avx512; do \
	    RILL_ISA=$$isa sh tests/run.sh $(COVER)/tests $(COVER_TESTS) || \
	        exit 1; done
	$(PYTHON) tests/coverage.py $(COVER) 95 90

# Weights to PyTorch and back, where it is installed (python3-torch).
test-torch: $(BUILD)/tests/test_safetensors
	mkdir -p $(BUILD)/torch/safetensors
	cp tests/golden/safetensors* $(BUILD)/torch -r
	$(PYTHON) tests/torch_peer.py make \
	    $(BUILD)/torch/safetensors/torch.safetensors
	RILL_GOLDEN="$$PWD/$(BUILD)/torch" \
	    RILL_TORCH="$$PWD/$(BUILD)/torch/rill.safetensors" $<
	$(PYTHON) tests/torch_peer.py check $(BUILD)/torch/rill.safetensors

# Built for other processors, under qemu-user; s390x is big-endian.
test-cross:
	sh tests/cross.sh arm64
	sh tests/cross.sh s390x

# libFuzzer (clang's) on each target for so many seconds, from the corpus; what
# it finds stays in the build folder.
FUZZ_SECONDS ?= 60
FUZZ_BUILD = $(BUILD)/fuzz
FUZZ_FLAGS = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZERS = $(basename $(notdir $(wildcard tests/fuzz/*.c)))
fuzz:
	$(MAKE) CC=clang BUILD=$(FUZZ_BUILD) \
	    CFLAGS="$(FUZZ_FLAGS) -fsanitize=fuzzer-no-link" \
	    $(FUZZ_BUILD)/librill.a
	for f in $(FUZZERS); do \
	    clang -std=c11 $(FUZZ_FLAGS) -fsanitize=fuzzer -Isrc \
	        tests/fuzz/$$f.c $(FUZZ_BUILD)/librill.a $(LIBS) \
	        -o $(FUZZ_BUILD)/$$f && mkdir -p $(FUZZ_BUILD)/corpus/$$f && \
	    (cd $(FUZZ_BUILD) && ./$$f -max_total_time=$(FUZZ_SECONDS) \
	        -max_len=1024 -print_final_stats=1 corpus/$$f \
	        $(CURDIR)/tests/fuzz/corpus/$$f 2>&1 | tee $$f.log | \
	        grep -E 'ERROR|SUMMARY|number_of_executed') && \
	    ! grep -q '^SUMMARY' $(FUZZ_BUILD)/$$f.log || exit 1; done

# The reference, from the public headers and the comments above definitions;
# fails where something public is described nowhere.
docs:
	@mkdir -p $(BUILD)/docs
	@python3 docs/reference.py src/rill.h >/dev/null # Doxygen would not tell
	@{ cat docs/Doxyfile; echo PROJECT_NUMBER=$(VERSION); \
	echo OUTPUT_DIRECTORY=$(BUILD)/docs; } | doxygen -
	@echo $(BUILD)/docs/html/index.html

# Those of the README, by Graphviz and Chromium (make deps-browser).
pictures: $(BUILD)/examples/09_reading_gradients \
          $(BUILD)/examples/04_gradient_flow
	@mkdir -p docs/pictures $(BUILD)/pictures
	$< graph | dot -Tpng -o docs/pictures/graph.png
	$(BUILD)/examples/04_gradient_flow \
	    --report $(BUILD)/pictures/flow.html >/dev/null
	chromium --headless --no-sandbox --disable-dev-shm-usage \
	    --user-data-dir=$(BUILD)/pictures/chromium --hide-scrollbars \
	    --window-size=1280,960 --virtual-time-budget=5000 \
	    --screenshot=docs/pictures/page.png \
	    "file://$(abspath $(BUILD))/pictures/flow.html" 2>/dev/null

# Debian's python, which finds Debian's selenium.
test-browser: examples $(BUILD)/tests/browser/report $(BUILD)/tests/test_graph
	/usr/bin/python3 -B tests/browser/test_page.py $(BUILD)
	sh tests/browser/dot.sh $(BUILD)/tests/test_graph

# The gate, and what would make it too long.
test-all:
	.ci/run
	$(MAKE) test-blas test-cross
	$(MAKE) CC=clang SAN=1 BUILD=$(BUILD)/clang-san test
	$(MAKE) CC=clang CFLAGS=-O0 BUILD=$(BUILD)/clang-O0 test
	$(MAKE) coverage fuzz
	! $(PYTHON) -c 'import torch' || $(MAKE) test-torch

# Warnings as errors from both compilers, cppcheck, and lines of 79 columns.
lint:
	@! LC_ALL=C.UTF-8 grep -nE '^.{80,}$$' src/*.h src/*/*.[ch] examples/*.c
	@for cc in gcc clang; do for f in $(SOURCES) $(wildcard examples/*.c) \
	    $(wildcard tests/*.c tests/browser/*.c); do \
	    $$cc -fsyntax-only -Werror -Isrc \
	        $(filter-out -MMD -MP -fexcess-precision=fast,$(FLAGS)) \
	        $(BLAS_CFLAGS) $$f || exit 1; done; done
	@cppcheck --quiet --error-exitcode=1 --std=c11 -Isrc --inline-suppr \
	    --enable=warning,portability --suppressions-list=tests/cppcheck.txt \
	    src examples

PACKAGES = build-essential libopenblas-dev libjansson-dev zlib1g-dev check \
           pkg-config
deps-dev: PACKAGES += clang libclang-rt-14-dev valgrind cppcheck shellcheck \
                     libblas-dev
deps-browser: PACKAGES += chromium chromium-driver python3-selenium graphviz
deps-docs: PACKAGES += doxygen python3
deps deps-dev deps-browser deps-docs:
	@missing=; for p in $(PACKAGES); do \
	    dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	[ -z "$$missing" ] && exit 0; \
	sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	$$sudo apt-get update -q && \
	$$sudo env DEBIAN_FRONTEND=noninteractive \
	    apt-get install -q -y --no-install-recommends $$missing

# The headers keep their folders. DESTDIR is put before every path, but not
# into rill.pc.
TO = $(DESTDIR)$(PREFIX)
install: $(LIB) $(SHARED)
	for h in $(HEADERS:src/%=%); do \
	    install -D -m 644 "src/$$h" "$(TO)/include/rill/$$h" || exit 1; done
	install -D -m 644 $(LIB) "$(TO)/lib/librill.a"
	install -m 755 $(SHARED) "$(TO)/lib"
	install -d "$(TO)/lib/pkgconfig"
	ln -sf librill.so.$(VERSION) "$(TO)/lib/$(SONAME)"
	ln -sf $(SONAME) "$(TO)/lib/librill.so"
	@# not "Requires.private: openblas": that wants Fortran's library, which
	@# a machine need not have and rill does not use
	sed "s|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|; \
	    s|@BLAS@|$$(pkg-config --libs $(BLAS))|" rill.pc.in \
	    >"$(TO)/lib/pkgconfig/rill.pc"
	@# the loader looks into its cache, which a package makes anew by itself
	[ -n "$(DESTDIR)" ] || [ "$$(id -u)" != 0 ] || ldconfig

uninstall:
	rm -f "$(TO)/lib/librill.a" "$(TO)"/lib/librill.so* \
	    "$(TO)/lib/pkgconfig/rill.pc"
	rm -rf "$(TO)/include/rill"

clean:
	rm -rf build

.PHONY: all lib examples train test test-all test-torch test-cross \
        test-browser test-valgrind test-tsan test-blas coverage fuzz bench \
        bench-recorder docs pictures deps deps-browser deps-dev deps-docs \
        clean lint install uninstall
.SECONDARY:
-include $(OBJECTS:.o=.d) $(EXAMPLES:=.d) $(TESTS:=.d)
