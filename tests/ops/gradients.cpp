// Every differentiable op's gradient rule against central differences in float64, over all samples of the
// table.
#include <set>

#include "ops/op_runner.h"

namespace trireme::test {
namespace {

struct GradientGraph {
  SampleGraph sample;
  ValueId output_gradient = no_id;  // no_id for losses
  std::vector<ValueId> gradients;   // by input
};

GradientGraph gradient_graph(const Op& op, const OpSample& sample) {
  GradientGraph g;
  g.sample = sample_graph(op, sample, DType::float64);
  Graph& graph = g.sample.graph;
  if (!op.is_loss) g.output_gradient = graph.add_input("dy", graph.value(g.sample.outputs[0]).type);
  GraphWriter writer(graph, "gradient");
  g.gradients = op.gradient(writer, graph.nodes[0], g.output_gradient);
  verify(graph);
  return g;
}

// The objective: the loss, or the sum of output 0 weighted by `dy`.
double objective(const GraphRun& run, const GradientGraph& g, const std::vector<double>& dy) {
  std::vector<double> y = run.values(g.sample.outputs[0]);
  double sum = 0;
  for (size_t i = 0; i < y.size(); ++i) sum += y[i] * (dy.empty() ? 1.0 : dy[i]);
  return sum;
}

// d objective / d input by central differences.
std::vector<double> differences(GraphRun& run, const GradientGraph& g, ValueId input,
                                const std::vector<double>& dy, const StepScalars& scalars) {
  constexpr double step = 1e-6;
  double* x = run.data<double>(input);
  std::vector<double> slopes(static_cast<size_t>(g.sample.graph.shape(input).elements()));
  for (size_t i = 0; i < slopes.size(); ++i) {
    double kept = x[i];
    x[i] = kept + step;
    run.run_node(0, scalars);
    double above = objective(run, g, dy);
    x[i] = kept - step;
    run.run_node(0, scalars);
    double below = objective(run, g, dy);
    x[i] = kept;
    slopes[i] = (above - below) / (2 * step);
  }
  return slopes;
}

void expect_near(const std::vector<double>& rule, const std::vector<double>& measured, double scale) {
  ASSERT_EQ(rule.size(), measured.size());
  for (size_t i = 0; i < rule.size(); ++i)
    ASSERT_NEAR(rule[i], measured[i], 1e-7 * scale) << "at element " << i;
}

// Compares all gradients of one sample; returns how many were compared.
size_t check_sample(const Op& op, const OpSample& sample, Backend& backend) {
  GradientGraph g = gradient_graph(op, sample);
  EXPECT_EQ(g.gradients.size(), g.sample.inputs.size());
  GraphRun run(g.sample.graph, backend);
  run.draw_inputs(g.sample, sample, g.sample.graph.nodes[0].attributes, 7);
  StepScalars scalars = test_scalars();
  std::vector<double> dy;
  if (!op.is_loss) {
    dy = spaced_values(run.values(g.output_gradient).size(), 99);
    write_floating(DType::float64, run.data<double>(g.output_gradient), dy);
  }
  run.run(scalars);
  std::vector<std::vector<double>> rules;
  for (ValueId id : g.gradients) rules.push_back(id == no_id ? std::vector<double>() : run.values(id));
  size_t compared = 0;
  for (size_t i = 0; i < g.sample.inputs.size(); ++i) {
    ValueId input = g.sample.inputs[i];
    if (input == no_id || !is_floating(g.sample.graph.value(input).type.dtype)) {
      EXPECT_EQ(g.gradients[i], no_id) << "input " << i << " can have no gradient";
      continue;
    }
    if (contains(sample.targets, i)) {
      EXPECT_EQ(g.gradients[i], no_id) << "input " << i << " is a target";
      continue;
    }
    SCOPED_TRACE("gradient of input " + op.inputs[i]);
    std::vector<double> measured = differences(run, g, input, dy, scalars);
    bool defined = g.gradients[i] != no_id;
    // Where the rule gives none, the output must not depend on the input.
    if (!defined) rules[i].assign(measured.size(), 0.0);
    double scale = 1;
    for (double slope : measured) scale = std::max(scale, std::abs(slope));
    expect_near(rules[i], measured, scale);
    compared += defined;
  }
  return compared;
}

TEST(Gradients, EqualCentralDifferences) {
  auto backend = make_reference_backend();
  for (const Op& op : op_table()) {
    if (!op.gradient || op.name == "cast") continue;  // cast rounds: its differences are steps
    size_t compared = 0;
    for (size_t i = 0; i < op.samples.size(); ++i) {
      SCOPED_TRACE(sample_name(op, i));
      compared += check_sample(op, op.samples[i], *backend);
    }
    EXPECT_GT(compared, 0u) << op.name << " has a gradient rule, but no sample tries it";
  }
}

TEST(Gradients, OpsWithoutARuleAreBackwardOpsOrListedHere) {
  const std::set<std::string> no_gradient = {"batch_norm_inference", "top1_correct"};
  std::set<std::string> emitted;
  for (const Op& op : op_table()) {
    for (const OpSample& sample : op.samples) {
      if (!op.gradient) break;
      Graph graph = gradient_graph(op, sample).sample.graph;
      for (size_t n = 1; n < graph.nodes.size(); ++n) emitted.insert(graph.nodes[n].op);
    }
  }
  for (const Op& op : op_table()) {
    EXPECT_TRUE(op.gradient || emitted.count(op.name) || no_gradient.count(op.name))
        << op.name << " has no gradient rule and no gradient rule emits it, so nothing tests its derivative";
  }
}

TEST(Gradients, CastGivesBackTheTypeItGotAndNoNodeWhereTheTypeIsRight) {
  Graph graph;
  ValueId x = graph.add_value("x", {DType::float32, {3, 4}}, Role::parameter);
  GraphWriter writer(graph, "test");
  ValueId y = writer.add_one("cast", {x}, {{"to", static_cast<int64_t>(DType::bfloat16)}});
  ValueId narrow = graph.add_input("narrow", {DType::bfloat16, {3, 4}});
  ValueId broad = graph.add_input("broad", {DType::float32, {3, 4}});
  EXPECT_EQ(graph.value(y).type.dtype, DType::bfloat16);
  const Op& op = find_op("cast");
  ValueId back = op.gradient(writer, graph.nodes[0], narrow)[0];
  EXPECT_EQ(graph.value(back).type, (TensorType{DType::float32, {3, 4}}));
  EXPECT_EQ(graph.nodes.size(), 2u);
  EXPECT_EQ(op.gradient(writer, graph.nodes[0], broad)[0], broad);
  EXPECT_EQ(graph.nodes.size(), 2u);
}

TEST(Gradients, ALossRefusesAGradientOfItsOwn) {
  for (const Op& op : op_table()) {
    if (!op.is_loss) continue;
    SampleGraph s = sample_graph(op, op.samples[0], DType::float32);
    GraphWriter writer(s.graph, "gradient");
    EXPECT_THROW(op.gradient(writer, s.graph.nodes[0], s.outputs[0]), GraphError) << op.name;
  }
}

}  // namespace
}  // namespace trireme::test
