// The ops of recurrent, generative and regression nets on values worked out otherwise: recurrences unrolled
// by hand, transposed convolution by its definition, losses by their formulas; and the same bits for any
// number of threads.
#include <functional>

#include "ops/op_runner.h"
#include "passes/passes.h"

namespace trireme::test {
namespace {

using Values = std::vector<double>;

double sigmoid(double a) { return 1 / (1 + std::exp(-a)); }

// One call of an op in `type` on given floating inputs.
std::vector<Values> run_op(std::string_view name, const OpSample& sample, const std::vector<Values>& inputs,
                           DType type, Backend& backend, const StepScalars& scalars = {}) {
  SampleGraph s = sample_graph(find_op(name), sample, type);
  GraphRun run(s.graph, backend);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (s.inputs[i] != no_id) write_floating(type, run.data<std::byte>(s.inputs[i]), inputs[i]);
  }
  run.run(scalars);
  std::vector<Values> outputs;
  for (ValueId id : s.outputs) outputs.push_back(run.values(id));
  return outputs;
}

// h of an LSTM, with one scalar loop a quantity: x[n][t][gate][k], w[j][gate][k].
Values unrolled_lstm(const Values& x, const Values& w, size_t n, size_t steps, size_t hidden) {
  Values result;
  for (size_t s = 0; s < n; ++s) {
    Values h(hidden, 0.0), c(hidden, 0.0);
    for (size_t t = 0; t < steps; ++t) {
      Values a(4 * hidden);
      for (size_t column = 0; column < 4 * hidden; ++column) {
        a[column] = x[(s * steps + t) * 4 * hidden + column];
        for (size_t j = 0; j < hidden; ++j) a[column] += h[j] * w[j * 4 * hidden + column];
      }
      for (size_t k = 0; k < hidden; ++k) {
        double input = sigmoid(a[k]), forget = sigmoid(a[hidden + k]), output = sigmoid(a[3 * hidden + k]);
        c[k] = forget * c[k] + input * std::tanh(a[2 * hidden + k]);
        h[k] = output * std::tanh(c[k]);
      }
      result.insert(result.end(), h.begin(), h.end());
    }
  }
  return result;
}

Values unrolled_rnn(const Values& x, const Values& w, size_t n, size_t steps, size_t hidden) {
  Values result;
  for (size_t s = 0; s < n; ++s) {
    Values h(hidden, 0.0);
    for (size_t t = 0; t < steps; ++t) {
      Values next(hidden);
      for (size_t k = 0; k < hidden; ++k) {
        double a = x[(s * steps + t) * hidden + k];
        for (size_t j = 0; j < hidden; ++j) a += h[j] * w[j * hidden + k];
        next[k] = std::tanh(a);
      }
      h = next;
      result.insert(result.end(), h.begin(), h.end());
    }
  }
  return result;
}

struct Recurrence {
  const char* name;
  size_t gates;
  Values (*unrolled)(const Values&, const Values&, size_t, size_t, size_t);
};
constexpr Recurrence recurrences[] = {{"lstm", 4, unrolled_lstm}, {"rnn", 1, unrolled_rnn}};

OpSample recurrence_sample(const Recurrence& r, size_t n, size_t steps, size_t hidden) {
  auto h = static_cast<int64_t>(hidden), gates = static_cast<int64_t>(r.gates);
  return {.inputs = {{static_cast<int64_t>(n), static_cast<int64_t>(steps), gates * h}, {h, gates * h}}};
}

Values scaled(size_t count, uint64_t seed, double scale) {
  Values values = spaced_values(count, seed);
  for (double& value : values) value *= scale;
  return values;
}

TEST(Recurrences, EqualTheirUnrolledSteps) {
  auto oracle = make_reference_backend();
  auto cpu = make_cpu_backend({.threads = 2});
  for (const Recurrence& r : recurrences) {
    for (auto [n, steps, hidden] : {std::array<size_t, 3>{1, 1, 1}, {3, 7, 5}, {7, 4, 33}, {13, 6, 70}}) {
      SCOPED_TRACE(fmt::format("{} of {} samples, {} steps, {} units", r.name, n, steps, hidden));
      Values x = scaled(n * steps * r.gates * hidden, 1, 2.0);
      Values w = scaled(hidden * r.gates * hidden, 2, 0.5);
      Values expected = r.unrolled(x, w, n, steps, hidden);
      OpSample sample = recurrence_sample(r, n, steps, hidden);
      EXPECT_LT(relative_error(run_op(r.name, sample, {x, w}, DType::float64, *oracle)[0], expected), 1e-12);
      EXPECT_LT(relative_error(run_op(r.name, sample, {x, w}, DType::float32, *cpu)[0], expected), 1e-5);
    }
  }
}

// d of the sum of dh * h by one value of x or w, by differences of the unrolled steps.
TEST(Recurrences, GradientsEqualDifferencesOfTheUnrolledSteps) {
  auto cpu = make_cpu_backend({.threads = 1});
  const size_t n = 3, steps = 5, hidden = 18;
  for (const Recurrence& r : recurrences) {
    SCOPED_TRACE(r.name);
    Values x = scaled(n * steps * r.gates * hidden, 1, 2.0);
    Values w = scaled(hidden * r.gates * hidden, 2, 0.5);
    Values dh = spaced_values(n * steps * hidden, 3);
    SampleGraph s = sample_graph(find_op(r.name), recurrence_sample(r, n, steps, hidden), DType::float32);
    ValueId gradient = s.graph.add_input("dh", s.graph.value(s.outputs[0]).type);
    GraphWriter writer(s.graph, "gradient");
    std::vector<ValueId> gradients = find_op(r.name).gradient(writer, s.graph.nodes[0], gradient);
    GraphRun run(s.graph, *cpu);
    write_floating(DType::float32, run.data<float>(s.inputs[0]), x);
    write_floating(DType::float32, run.data<float>(s.inputs[1]), w);
    write_floating(DType::float32, run.data<float>(gradient), dh);
    run.run({});
    auto objective = [&] {
      Values h = r.unrolled(x, w, n, steps, hidden);
      double sum = 0;
      for (size_t i = 0; i < h.size(); ++i) sum += dh[i] * h[i];
      return sum;
    };
    for (size_t input : {0, 1}) {
      Values& values = input == 0 ? x : w;
      Values rule = run.values(gradients[input]);
      for (size_t i = 0; i < values.size(); i += 37) {
        double kept = values[i];
        values[i] = kept + 1e-5;
        double above = objective();
        values[i] = kept - 1e-5;
        double below = objective();
        values[i] = kept;
        EXPECT_NEAR(rule[i], (above - below) / 2e-5, 2e-5) << "element " << i << " of input " << input;
      }
    }
  }
}

// Sigmoids of huge arguments are 0 and 1, not NaN.
TEST(Recurrences, StayFiniteForHugeGates) {
  auto cpu = make_cpu_backend({.threads = 1});
  for (const Recurrence& r : recurrences) {
    Values x = scaled(2 * 3 * r.gates * 17, 1, 1e4);
    for (const Values& output : run_op(r.name, recurrence_sample(r, 2, 3, 17),
                                       {x, scaled(17 * r.gates * 17, 2, 1.0)}, DType::float32, *cpu)) {
      for (double value : output) ASSERT_TRUE(std::isfinite(value)) << r.name;
    }
  }
}

TEST(NewOps, SameBitsForAnyNumberOfThreads) {
  std::vector<std::pair<std::string, OpSample>> cases = {
      {"lstm", {.inputs = {{11, 9, 4 * 40}, {40, 4 * 40}}}},
      {"lstm_backward", {.inputs = {{11, 9, 40}, {40, 160}, {11, 9, 40}, {11, 9, 160}, {11, 9, 40}}}},
      {"rnn", {.inputs = {{11, 9, 40}, {40, 40}}}},
      {"rnn_backward", {.inputs = {{11, 9, 40}, {40, 40}, {11, 9, 40}}}},
      {"lstm_backward", {.inputs = {{5, 64, 100}, {100, 400}, {5, 64, 100}, {5, 64, 400}, {5, 64, 100}}}},
      {"bias_backward", {.inputs = {{3, 20, 20, 9}}}},
      {"batch_norm_max_pool", {.inputs = {{7, 21, 18, 33}, {33}, {33}, {33}, {33}}, .positive = {4}}},
      {"batch_norm_max_pool_backward",
       {.inputs = {{7, 9, 9, 33}, {7, 9, 9, 33}, {7, 9, 9, 33}, {7, 18, 18, 33}, {33}, {33}, {33}},
        .positive = {6},
        .positions = {2}}},
      {"batch_norm_max_pool_backward",
       {.inputs = {{7, 10, 9, 33}, {7, 10, 9, 33}, {7, 10, 9, 33}, {7, 21, 18, 33}, {33}, {33}, {33}},
        .positive = {6},
        .positions = {2}}},
      {"softmax_cross_entropy", {.inputs = {{300, 10}, {300}}, .labels = {1}, .classes = 10}},
      {"leaky_relu", {.inputs = {{7, 50, 50, 3}}}},
      {"group_norm", {.inputs = {{5, 17, 17, 12}, {12}, {12}}, .attributes = {{"groups", int64_t{4}}}}},
      {"group_norm_backward",
       {.inputs = {{5, 17, 17, 12}, {5, 17, 17, 12}, {12}, {5, 4}, {5, 4}},
        .attributes = {{"groups", int64_t{4}}},
        .positive = {4}}},
  };
  auto one = make_cpu_backend({.threads = 1});
  std::vector<std::vector<std::vector<double>>> expected;
  for (const auto& [name, sample] : cases) {
    expected.push_back(run_sample(find_op(name), sample, DType::float32, *one));
  }
  for (int threads : {2, 3}) {
    auto several = make_cpu_backend({.threads = threads});
    for (size_t i = 0; i < cases.size(); ++i) {
      auto actual = run_sample(find_op(cases[i].first), cases[i].second, DType::float32, *several);
      EXPECT_EQ(actual, expected[i]) << cases[i].first << " on " << threads << " threads";
    }
  }
}

// Every input pixel adds its window: a scatter, where reference and library gather.
TEST(TransposedConvolution, AddsEveryPixelsWindow) {
  const int64_t n = 2, height = 3, width = 4, in = 3, out = 5, kernel = 4, stride = 2, padding = 1;
  const int64_t rows = (height - 1) * stride - 2 * padding + kernel,
                columns = (width - 1) * stride - 2 * padding + kernel;
  Values x = spaced_values(static_cast<size_t>(n * height * width * in), 1);
  Values w = spaced_values(static_cast<size_t>(kernel * kernel * out * in), 2);
  Values bias = {1, 2, 3, 4, 5};
  Values expected(static_cast<size_t>(n * rows * columns * out));
  for (size_t i = 0; i < expected.size(); ++i) expected[i] = bias[i % 5];
  for (int64_t s = 0; s < n; ++s) {
    for (int64_t pixel = 0; pixel < height * width; ++pixel) {
      for (int64_t tap = 0; tap < kernel * kernel; ++tap) {
        int64_t p = pixel / width * stride - padding + tap / kernel,
                q = pixel % width * stride - padding + tap % kernel;
        if (p < 0 || q < 0 || p >= rows || q >= columns) continue;
        for (int64_t o = 0; o < out; ++o) {
          for (int64_t c = 0; c < in; ++c) {
            expected[static_cast<size_t>(((s * rows + p) * columns + q) * out + o)] +=
                x[static_cast<size_t>((s * height * width + pixel) * in + c)] *
                w[static_cast<size_t>((tap * out + o) * in + c)];
          }
        }
      }
    }
  }
  OpSample sample{.inputs = {{n, height, width, in}, {kernel, kernel, out, in}, {out}},
                  .attributes = {{"stride", stride}, {"padding", padding}}};
  auto oracle = make_reference_backend();
  auto cpu = make_cpu_backend({.threads = 1});
  EXPECT_LT(relative_error(run_op("transposed_convolution", sample, {x, w, bias}, DType::float64, *oracle)[0],
                           expected),
            1e-12);
  EXPECT_LT(relative_error(run_op("transposed_convolution", sample, {x, w, bias}, DType::float32, *cpu)[0],
                           expected),
            1e-5);
}

TEST(Losses, MeanSquaredErrorByHand) {
  auto backend = make_reference_backend();
  StepScalars scalars{.sample_weight = 0.5};
  OpSample sample{.inputs = {{2, 2}, {2, 2}}, .targets = {1}};
  std::vector<Values> inputs = {{1, 2, 3, 4}, {0, 2, 5, 1}};
  auto loss = run_op("mean_squared_error", sample, inputs, DType::float64, *backend, scalars);
  EXPECT_DOUBLE_EQ(loss[0][0], 0.5 * (0.5 * 1 + 0.5 * (4 + 9)));
  auto gradient = run_op("mean_squared_error_backward", sample, inputs, DType::float64, *backend, scalars);
  EXPECT_EQ(gradient[0], (Values{0.5, 0, -1, 1.5}));
}

TEST(Losses, BinaryCrossEntropyByHand) {
  auto backend = make_reference_backend();
  StepScalars scalars{.sample_weight = 0.25};
  double z = 0.7, s = sigmoid(z);
  OpSample with{.inputs = {{1, 1}, {1, 1}}, .targets = {1}};
  auto loss = run_op("binary_cross_entropy", with, {{z}, {0.3}}, DType::float64, *backend, scalars);
  EXPECT_NEAR(loss[0][0], 0.25 * (-0.3 * std::log(s) - 0.7 * std::log(1 - s)), 1e-15);
  auto gradient =
      run_op("binary_cross_entropy_backward", with, {{z}, {0.3}}, DType::float64, *backend, scalars);
  EXPECT_NEAR(gradient[0][0], 0.25 * (s - 0.3), 1e-15);
  // A sample's values count as their mean, and `target` stands for absent targets.
  OpSample without{.inputs = {{1, 2, 1, 1}, {}}, .attributes = {{"target", 0.0}}, .absent = {1}};
  loss = run_op("binary_cross_entropy", without, {{z, -z}}, DType::float64, *backend, scalars);
  EXPECT_NEAR(loss[0][0], 0.25 * 0.5 * (-std::log(1 - s) - std::log(s)), 1e-15);
}

TEST(Losses, BinaryCrossEntropyOfExtremeLogitsIsFinite) {
  for (auto make : {make_reference_backend, +[] { return make_cpu_backend({.threads = 1}); }}) {
    auto backend = make();
    OpSample sample{.inputs = {{4, 1}, {}}, .absent = {1}};
    Values z = {1e4, -1e4, 80, -80};
    auto loss = run_op("binary_cross_entropy", sample, {z}, DType::float32, *backend);
    EXPECT_NEAR(loss[0][0], 1e4 + 80, 1e-2);
    auto gradient = run_op("binary_cross_entropy_backward", sample, {z}, DType::float32, *backend);
    EXPECT_LT(relative_error(gradient[0], {0, -1, 0, -1}), 1e-7);
  }
}

// A discriminator's step: the gradient is that of the two losses' sum, and each loss is told by itself.
TEST(Losses, TwoInAGraphAreAddedUpInTheGradientAlone) {
  Graph graph;
  ValueId real = graph.add_input("real", {DType::float64, {2, 1}}),
          fake = graph.add_input("fake", {DType::float64, {2, 1}});
  ValueId w = graph.add_value("w", {DType::float64, {1, 1}}, Role::parameter);
  ValueId losses[2];
  for (int i : {0, 1}) {
    GraphWriter writer(graph, i == 0 ? "loss_real" : "loss_fake");
    ValueId logits = writer.add_one("linear", {i == 0 ? real : fake, w});
    losses[i] = writer.add_one("binary_cross_entropy", {logits}, {{"target", i == 0 ? 1.0 : 0.0}});
  }
  graph.results = {losses[0], losses[1]};
  differentiate(graph);
  auto backend = make_reference_backend();
  GraphRun run(graph, *backend);
  write_floating(DType::float64, run.data<double>(real), {1, 2});
  write_floating(DType::float64, run.data<double>(fake), {-1, 3});
  write_floating(DType::float64, run.data<double>(w), {0.5});
  run.run({.sample_weight = 0.5});
  EXPECT_NEAR(run.values(losses[0])[0], 0.5 * (-std::log(sigmoid(0.5)) - std::log(sigmoid(1))), 1e-14);
  EXPECT_NEAR(run.values(losses[1])[0], 0.5 * (-std::log(sigmoid(0.5)) - std::log(1 - sigmoid(1.5))), 1e-14);
  double expected = 0.5 * ((sigmoid(0.5) - 1) + 2 * (sigmoid(1) - 1) - sigmoid(-0.5) + 3 * sigmoid(1.5));
  for (size_t v = 0; v < graph.values.size(); ++v) {
    if (graph.values[v].role != Role::gradient) continue;
    EXPECT_NEAR(run.values(static_cast<ValueId>(v))[0], expected, 1e-14);
  }
}

// What a generator learns through a frozen discriminator (convolution, batch norm without running statistics,
// leaky relu) is what it would learn if that were learned along, and the discriminator's own gradients are
// not even computed.
Values gradient_through(Role role, size_t& nodes) {
  Graph graph;
  GraphWriter writer(graph, "gan");
  auto value = [&](const char* name, Shape shape, Role of) {
    return graph.add_value(name, {DType::float32, std::move(shape)}, of);
  };
  ValueId noise = graph.add_input("noise", {DType::float32, {3, 6}});
  ValueId mine = value("mine", {6, 32}, Role::parameter);
  ValueId x = writer.add_one("unflatten", {writer.add_one("linear", {noise, mine})},
                             {{"height", int64_t{4}}, {"width", int64_t{4}}});
  std::vector<ValueId> theirs = {value("w", {3, 3, 2, 5}, role), value("gamma", {5}, role),
                                 value("beta", {5}, role)};
  ValueId y = writer.add_one("convolution", {x, theirs[0]}, {{"padding", int64_t{1}}});
  y = writer.add_one("leaky_relu", {writer.add("batch_norm", {y, theirs[1], theirs[2]})[0]},
                     {{"slope", 0.2}});
  graph.results = {writer.add_one("binary_cross_entropy", {y})};
  differentiate(graph);
  remove_dead_nodes(graph);
  verify(graph);
  nodes = graph.nodes.size();
  auto backend = make_cpu_backend({.threads = 1});
  GraphRun run(graph, *backend);
  uint64_t seed = 1;
  for (ValueId id : {noise, mine, theirs[0], theirs[1], theirs[2]}) {
    write_floating(DType::float32, run.data<float>(id), spaced_values(run.values(id).size(), seed++));
  }
  run.run({.sample_weight = 1.0 / 3});
  for (size_t v = 0; v < graph.values.size(); ++v) {
    if (graph.values[v].role == Role::gradient && graph.values[v].of == mine) {
      return run.values(static_cast<ValueId>(v));
    }
  }
  return {};
}

TEST(Frozen, GradientsFlowThroughAndNoneIsComputedForWhatIsFrozen) {
  size_t nodes_learned = 0, nodes_frozen = 0;
  Values learned = gradient_through(Role::parameter, nodes_learned);
  Values frozen = gradient_through(Role::frozen, nodes_frozen);
  ASSERT_EQ(learned.size(), 6u * 32u);
  EXPECT_EQ(frozen, learned);
  EXPECT_EQ(nodes_frozen, nodes_learned - 1) << "the convolution's weight gradient should be gone";
  EXPECT_GT(*std::max_element(frozen.begin(), frozen.end()), 0);
}

}  // namespace
}  // namespace trireme::test
