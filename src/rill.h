/* rill: a tiny reverse-mode autograd tensor framework in C11.
 *
 * A TAPE (rill_tape) is where a computation happens. It is the first argument
 * of every op, owns what ops return, and records them in the order they run.
 * rill_backward walks that record from its end and leaves a gradient at every
 * node; rill_grad reads it. rill_tape_reset ends the step: all that the tape
 * made is gone, its memory is kept for the next step.
 *
 * A TENSOR (rill_tensor) is an immutable, dense, row-major value of up to
 * eight dimensions: float32, float64, or int32 for class indices and masks.
 *
 * A PARAMETER is a tensor that outlives the tapes which use it. It belongs to
 * the parameter set (rill_params) that made it and is a leaf of any tape that
 * uses it: nothing has to be declared.
 *
 * WHO OWNS WHAT. A tape owns what its ops return, until reset. A parameter
 * set owns its parameters, a data set its rows. What must outlive a step
 * (data, class weights) lives on a tape of its own that is not reset: to any
 * other tape it is a constant.
 *
 * ERRORS ARE VALUES. The first failure stays on the tape as a sentence
 * (rill_error); from then on ops return NULL and NULL in gives NULL out, so a
 * program checks once a step, or hands the tape a hook (rill_die). A
 * parameter set, an optimiser and a data set keep their own first error in
 * the same way. rill never prints of itself, never aborts, never exits.
 *
 * LOOKING ON. Every node keeps its value and, after rill_backward, its
 * gradient: inspect.h prints them, draws them, explains them, stops at the
 * first NaN, and records a whole run. It changes nothing.
 *
 * OPTIONS are structs whose all-zero value is the default, passed by pointer;
 * NULL is the default too.
 *
 * THREADS. A tape belongs to one thread at a time; tapes on distinct threads
 * may share parameters and constants as long as nobody changes them. Large
 * loops and matrix products are shared by a team of threads, of which the
 * process has one (rill_set_threads); their number changes no bit. */
#ifndef RILL_H
#define RILL_H

#include "tensor/tensor.h"
#include "ops/ops.h"
#include "nn/nn.h"
#include "inspect/inspect.h"

#endif
