// The passes over a graph, one file each. A pass sees the graph and the op table, never TOML, MPI or CUDA.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/arena_layout.h"
#include "graph/graph.h"

namespace trireme {

struct Pass {
  std::string name;
  std::function<void(Graph&)> run;
};

// Runs the passes in order and verifies the graph after each; an error names the pass. `after_pass` may be
// empty.
void run_passes(Graph& graph, const std::vector<Pass>& passes,
                const std::function<void(std::string_view, const Graph&)>& after_pass = {});

// max_pool(relu(x)) becomes relu(max_pool(x)): the same bits (relu is monotone), on a quarter of the
// elements.
void sink_relu(Graph& graph);

// relu(op(x)) becomes op(x){relu=1} where op can do it and nobody else reads op(x).
void fuse_relu(Graph& graph);

// relu(max_pool(batch_norm(x))) becomes batch_norm_max_pool(x) where nobody reads what lies between and
// windows do not overlap: the same bits forward, and two images less to write and read in each direction.
void fuse_norm_pool(Graph& graph);

// Mixed precision (Micikevicius et al., arXiv 1710.03740) on a forward graph: computes in `low` (bfloat16 or
// float16; float32 changes nothing) where the op table's `precision` says that it is worth it or that an op
// follows what it is given. Writes cast nodes, one for each value and type however often it is read, and
// gives activations their new types. Parameters, states, statistics and the graph's results stay float32.
// Throws GraphError for another type.
void lower_precision(Graph& graph, DType low);

// Puts scale_gradient before every loss, so that all gradients behind it are multiplied by
// StepScalars::loss_scale. Losses stay what they are. For float16, whose smallest normal number is 6e-5.
void scale_loss_gradients(Graph& graph);

// Reverse-mode differentiation (Griewank and Walther, "Evaluating derivatives", 2008, chapter 3) of the sum
// of the graph's losses: appends the backward nodes and gives every parameter a value of role gradient.
// Frozen values get none, but gradients flow through the nodes that read them. Throws GraphError when there
// is no loss, or a parameter influences none.
void differentiate(Graph& graph);

// Removes nodes that no result, gradient or statistic needs.
void remove_dead_nodes(Graph& graph);

// A topological order that follows the nodes' own order, except that nodes which finish a gradient go first,
// so that exchange can start and activations die early.
void order_nodes(Graph& graph);

// What the backward pass makes again in place of keeping it.
enum class Recompute : uint8_t {
  none,
  layer,  // all but what leaves a layer (Node::layer)
  sqrt,   // all but what leaves a segment of layers, cut so that the peak is least
};

// Trades memory for time (Chen et al., "Training deep nets with sublinear memory cost", arXiv 1604.06174) in
// an ordered training graph. Nodes with a layer, up to the last loss, are cut into segments. Of a segment,
// the values that other segments or the loss read, results, and outputs beside the first that are small are
// kept; what else the backward nodes read is made again by clones of its nodes, right before the first that
// reads it, and nothing more than that. The last segment keeps all, since its backward follows at once. The
// order of gradients, and so the arenas' layout, is that of the graph without recompute, and so are all bits:
// a clone has its node's attributes, hence the same kernel and the same draws. Memory: of n equal layers,
// each of which holds m bytes for the backward pass and hands on b, `none` keeps n m, `layer` n b + m, and
// `sqrt` about sqrt(2 n m b): while the backward pass is in a segment, what the segments before it handed on
// and all of its own is there, and the cut that makes the largest of these sums least has segments that
// shrink from the first to the last, about sqrt(2 n m / b) of them (or n, where that is more: then it is
// `layer`).
void recompute(Graph& graph, Recompute policy);

// Lays out the arenas for an ordered training graph; see graph/arena_layout.h.
ArenaLayout lay_out_arenas(const Graph& graph);

}  // namespace trireme
