// A DCGAN (Radford et al., "Unsupervised representation learning with deep convolutional generative
// adversarial networks", arXiv 1511.06434). The side S of the images is halved while it is even and above 4:
// 28 -> 7, 32 -> 4, 64 -> 4; with n halvings and width W
//
//   generator      noise -> linear -> [s, s, W 2^(n-1)] -> (norm, relu, transposed convolution 4x4 by 2) n
//   times -> tanh discriminator  (convolution 4x4 by 2, norm but for the first, leaky relu 0.2) n times ->
//   linear -> one logit
//
// All weights start normal with deviation 0.02. The discriminator has no running statistics: real images and
// fakes are normalised each by their own batch, in either program, as the paper has it. The generator's
// running statistics serve when it makes samples.
#include <string>
#include <utility>

#include "base/error.h"
#include "models/builders.h"
#include "models/misfit.h"

namespace trireme {
namespace {

constexpr double epsilon = 1e-5;
constexpr double momentum = 0.1;
constexpr int64_t kernel = 4, stride = 2, padding = 1;

constexpr Initializer weight_start = normal_start(0.02);
constexpr Initializer bias_start = constant_start(0);

struct Pyramid {
  int64_t halvings;
  int64_t smallest;  // side of the smallest feature maps
  int64_t width;     // channels next to the image; they double with every halving
  int64_t channels_after(int64_t halving) const { return width << (halving - 1); }
};

Pyramid pyramid_of(const ModelConfig& model, const SampleShape& sample) {
  if (sample.kind != SampleKind::image || sample.height != sample.width || sample.height % 4 != 0 ||
      sample.height < 8) {
    throw MisfitError(
        "model.kind",
        fmt::format("\"gan\" makes square images whose side is a multiple of 4 and at least 8, but the "
                    "data set holds {}: choose another kind, or set data.transform.resize or crop",
                    describe(sample)));
  }
  Pyramid pyramid{0, sample.height, model.width > 0 ? model.width : 64};
  while (pyramid.smallest > 4 && pyramid.smallest % 2 == 0) {
    pyramid.smallest /= 2;
    ++pyramid.halvings;
  }
  return pyramid;
}

ValueId generate(NetWriter& net, ValueId noise, const Pyramid& pyramid, int64_t image_channels) {
  int64_t side = pyramid.smallest, channels = pyramid.channels_after(pyramid.halvings);
  net.begin_layer();
  net.at("generator.linear");
  ValueId x = net.linear(noise, side * side * channels, weight_start, nullptr);
  x = net.apply("unflatten", {x}, {{"height", side}, {"width", side}});
  for (int64_t i = pyramid.halvings; i > 0; --i) {
    int64_t number = pyramid.halvings - i + 1;
    net.at(fmt::format("generator.norm{}", number));
    x = net.apply("relu", {net.batch_norm(x, epsilon, momentum)});
    net.begin_layer();
    net.at(fmt::format("generator.transposed_convolution{}", number));
    int64_t outputs = i > 1 ? pyramid.channels_after(i - 1) : image_channels;
    // Where a norm follows, it has the bias.
    x = net.transposed_convolution(x, outputs, kernel, stride, padding, weight_start,
                                   i > 1 ? nullptr : &bias_start);
  }
  x = net.apply("tanh", {x});
  net.graph().value(x).name = "images";
  return x;
}

ValueId discriminate(NetWriter& net, ValueId x, const Pyramid& pyramid) {
  for (int64_t i = 1; i <= pyramid.halvings; ++i) {
    net.begin_layer();
    net.at(fmt::format("discriminator.convolution{}", i));
    x = net.convolution(x, pyramid.channels_after(i), kernel, stride, padding, weight_start,
                        i > 1 ? nullptr : &bias_start);
    if (i > 1) {
      net.at(fmt::format("discriminator.norm{}", i));
      x = net.batch_norm_by_batch(x, epsilon);
    }
    x = net.apply("leaky_relu", {x}, {{"slope", 0.2}});
  }
  net.begin_layer();
  net.at("discriminator.linear");
  return net.linear(net.apply("flatten", {x}), 1, weight_start, &bias_start);
}

ValueId verdict_loss(NetWriter& net, ValueId logits, double target, const std::string& name) {
  net.end_layers();
  net.at(name);
  ValueId loss = net.apply("binary_cross_entropy", {logits}, {{"target", target}});
  net.graph().value(loss).name = name;
  return loss;
}

TensorType image_type(const SampleShape& sample, int64_t batch) {
  return {DType::float32, {batch, sample.height, sample.width, sample.channels}};
}

ValueId add_noise(Graph& graph, const ModelConfig& model, int64_t batch) {
  return graph.add_input("noise", {DType::float32, {batch, model.latent}});
}

Graph generator_training(const Config& config, const SampleShape& sample, int64_t batch) {
  Pyramid pyramid = pyramid_of(config.model, sample);
  Graph graph;
  graph.name = "generator.training";
  NetWriter generator(graph, GraphMode::training);
  ValueId images = generate(generator, add_noise(graph, config.model, batch), pyramid, sample.channels);
  NetWriter discriminator(graph, GraphMode::training, Role::frozen);
  discriminator.continue_layers(generator);
  ValueId loss = verdict_loss(discriminator, discriminate(discriminator, images, pyramid), 1.0, "loss");
  graph.results = {loss, images};
  return graph;
}

Graph generator(const Config& config, const SampleShape& sample, int64_t batch) {
  Pyramid pyramid = pyramid_of(config.model, sample);
  Graph graph;
  graph.name = "generator.evaluation";
  NetWriter net(graph, GraphMode::evaluation);
  graph.results = {generate(net, add_noise(graph, config.model, batch), pyramid, sample.channels)};
  return graph;
}

Graph discriminator_training(const Config& config, const SampleShape& sample, int64_t batch) {
  Pyramid pyramid = pyramid_of(config.model, sample);
  if (config.data.transform.normalize) {
    throw MisfitError(
        "data.transform.normalize",
        "a gan needs pixels as they are, to bring them to the range of the generator's: set it to false");
  }
  Graph graph;
  graph.name = "discriminator.training";
  ValueId images = graph.add_input("images", image_type(sample, batch));
  ValueId fakes = graph.add_input("fakes", image_type(sample, batch));
  NetWriter net(graph, GraphMode::training);
  net.at("discriminator.images");
  // The loader gives pixels in [0, 1]; tanh has made the fakes in [-1, 1].
  images = net.apply("affine", {images}, {{"factor", 2.0}, {"shift", -1.0}});
  // Of real images alone (Salimans et al., arXiv 1606.03498, section 3.4).
  double real = 1.0 - config.train.label_smoothing;
  ValueId loss_real = verdict_loss(net, discriminate(net, images, pyramid), real, "loss_real");
  ValueId loss_fake = verdict_loss(net, discriminate(net, fakes, pyramid), 0.0, "loss_fake");
  graph.results = {loss_real, loss_fake};
  return graph;
}

}  // namespace

Graph build_generator(const Config& config, const SampleShape& sample, int64_t batch) {
  return placing_misfits(config, [&] { return generator(config, sample, batch); });
}

Graph build_generator_training(const Config& config, const SampleShape& sample, int64_t batch) {
  return placing_misfits(config, [&] { return generator_training(config, sample, batch); });
}

Graph build_discriminator_training(const Config& config, const SampleShape& sample, int64_t batch) {
  return placing_misfits(config, [&] { return discriminator_training(config, sample, batch); });
}

}  // namespace trireme
