// Residual networks of basic blocks (He et al., "Deep residual learning for image recognition", arXiv
// 1512.03385, table 1: 18 and 34 layers), with shortcuts by projection where the shape changes (option B of
// section 3.3).
//
//   block(x) = relu(shortcut(x) + norm(conv3x3(relu(norm(conv3x3(x))))))
//
// Convolutions start by Kaiming's rule. The last gamma of every block starts at 0, so that each block starts
// as its shortcut (Goyal et al., arXiv 1706.02677, section 5.1): it makes the first epochs of short runs
// smoother.
#include <array>

#include "base/error.h"
#include "models/builders.h"
#include "models/misfit.h"

namespace trireme {
namespace {

constexpr double epsilon = 1e-5;
constexpr double momentum = 0.1;

class ResNet {
 public:
  ResNet(NetWriter& net, const ModelConfig& model) : net_(net), model_(model) {}

  ValueId stem(ValueId images, int64_t channels) {
    net_.begin_layer();
    bool large = model_.stem == "imagenet";
    ValueId x = convolution("stem", images, channels, large ? 7 : 3, large ? 2 : 1);
    x = net_.apply("relu", {norm("stem.norm", x)});
    return large ? net_.apply("max_pool", {x},
                              {{"kernel", int64_t{3}}, {"stride", int64_t{2}}, {"padding", int64_t{1}}})
                 : x;
  }

  ValueId block(const std::string& name, ValueId x, int64_t channels, int64_t stride) {
    net_.begin_layer();
    ValueId shortcut = x;
    if (stride != 1 || net_.shape(x).back() != channels) {
      shortcut = convolution(name + ".shortcut", x, channels, 1, stride);
      shortcut = norm(name + ".shortcut.norm", shortcut);
    }
    ValueId y = convolution(name + ".convolution1", x, channels, 3, stride);
    y = net_.apply("relu", {norm(name + ".norm1", y)});
    y = convolution(name + ".convolution2", y, channels, 3, 1);
    y = norm(name + ".norm2", y, constant_start(0));
    net_.at(name);
    return net_.apply("relu", {net_.apply("add", {y, shortcut})});
  }

 private:
  ValueId convolution(const std::string& name, ValueId x, int64_t channels, int64_t kernel, int64_t stride) {
    net_.at(name);
    return net_.convolution(x, channels, kernel, stride, kernel / 2,
                            kaiming_start(channels * kernel * kernel),
                            nullptr);  // the norm behind it has the bias
  }
  ValueId norm(const std::string& name, ValueId x, Initializer gamma = constant_start(1)) {
    net_.at(name);
    return model_.norm == "group" ? net_.group_norm(x, preset_groups(net_.shape(x).back()), epsilon, gamma)
                                  : net_.batch_norm(x, epsilon, momentum, gamma);
  }

  NetWriter& net_;
  const ModelConfig& model_;
};

}  // namespace

ValueId write_resnet(NetWriter& net, ValueId images, const ModelConfig& model, int64_t classes) {
  int64_t depth = model.depth > 0 ? model.depth : 18;
  if (depth != 18 && depth != 34) {
    throw MisfitError("model.depth",
                      fmt::format("there is no resnet of {} layers here: give 18 or 34", depth));
  }
  const std::array<int, 4> blocks = depth == 18 ? std::array{2, 2, 2, 2} : std::array{3, 4, 6, 3};
  int64_t channels = model.width > 0 ? model.width : 64;
  ResNet resnet(net, model);
  ValueId x = resnet.stem(images, channels);
  for (size_t stage = 0; stage < blocks.size(); ++stage) {
    for (int block = 0; block < blocks[stage]; ++block) {
      int64_t stride = stage > 0 && block == 0 ? 2 : 1;
      x = resnet.block(fmt::format("stage{}.block{}", stage + 1, block + 1), x, channels << stage, stride);
    }
  }
  net.begin_layer();
  net.at("head");
  x = net.apply("global_average_pool", {x});
  Initializer start = uniform_start(net.shape(x).back());
  return net.linear(x, classes, start, &start);
}

}  // namespace trireme
