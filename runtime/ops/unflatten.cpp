// The other direction of flatten: a row of values a sample becomes an image. The same bytes under another
// shape.
#include <cstring>

#include "base/error.h"
#include "ops/ops.h"
#include "ops/rules.h"

namespace trireme {
namespace {

std::vector<TensorType> unflatten_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& x = activation_input(inputs, 0, "x[N, P]", 2);
  int64_t height = integer_of_at_least(attributes, "height", 1);
  int64_t width = integer_of_at_least(attributes, "width", 1);
  int64_t channels = x.shape[1] / (height * width);
  if (channels * height * width != x.shape[1]) {
    throw GraphError(
        "input 0 (x[N, P]) is {}, whose {} values a sample do not fill whole channels of {} x {}",
        describe(x), x.shape[1], height, width);
  }
  return {{x.dtype, {x.shape[0], height, width, channels}}};
}

void copy_reference(const KernelCall& call) {
  if (call.inputs[0] == call.outputs[0]) return;
  std::memcpy(call.outputs[0], call.inputs[0], call.graph.value(call.node.outputs[0]).type.bytes());
}

}  // namespace

Op unflatten_op() {
  Op op;
  op.name = "unflatten";
  op.doc = "y = x under the shape of images, P = height width C; moves nothing. Its gradient is flatten";
  op.inputs = {"x[N, P]"};
  op.outputs = {"y[N, H, W, C]"};
  op.attributes = {{"height", int64_t{0}, "of y; must be given"},
                   {"width", int64_t{0}, "of y; must be given"}};
  op.shape = unflatten_shape;
  op.flops = no_flops;
  op.gradient = [](GraphWriter& writer, Node, ValueId output_gradient) {
    return std::vector<ValueId>{writer.add_one("flatten", {output_gradient})};
  };
  op.reference_float = op.reference_double = copy_reference;
  op.reference_bfloat16 = op.reference_float16 = copy_reference;
  op.precision = Precision::follow;
  op.half_inputs = {0};
  op.is_view = true;
  op.samples = {{.inputs = {{3, 70}}, .attributes = {{"height", int64_t{2}}, {"width", int64_t{5}}}}};
  return op;
}

}  // namespace trireme
