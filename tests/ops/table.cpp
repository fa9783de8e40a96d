// What every row of the op table must satisfy.
#include <set>

#include "ops/op_runner.h"

namespace trireme::test {
namespace {

TEST(Table, RowsAreComplete) {
  std::set<std::string> names;
  for (const Op& op : op_table()) {
    SCOPED_TRACE(op.name);
    EXPECT_TRUE(names.insert(op.name).second) << "two rows of this name";
    EXPECT_FALSE(op.doc.empty());
    EXPECT_EQ(op.doc.find('\n'), std::string::npos) << "the doc is one line";
    EXPECT_LE(op.required_inputs, op.max_inputs);
    EXPECT_EQ(op.inputs.size(), op.max_inputs) << "each input has a name";
    EXPECT_TRUE(op.shape && op.flops && op.reference_float && op.reference_double);
    EXPECT_FALSE(op.samples.empty()) << "a row needs at least one sample, or nothing tests it";
    for (const AttributeRule& rule : op.attributes) EXPECT_FALSE(rule.doc.empty()) << rule.name;
    for (const OpSample& sample : op.samples) EXPECT_EQ(sample.inputs.size(), op.max_inputs);
  }
}

TEST(Table, SomeSampleLeavesEveryOptionalInputAway) {
  for (const Op& op : op_table()) {
    for (size_t i = op.required_inputs; i < op.max_inputs; ++i) {
      bool tried = std::any_of(op.samples.begin(), op.samples.end(),
                               [&](const OpSample& s) { return contains(s.absent, i); });
      EXPECT_TRUE(tried) << op.name << ": " << op.inputs[i];
    }
  }
}

TEST(Table, SomeSampleOrDefaultTriesEveryOutput) {
  for (const Op& op : op_table()) {
    size_t most = 0;
    for (const OpSample& sample : op.samples) {
      most = std::max(most, sample_graph(op, sample, DType::float32).outputs.size());
    }
    EXPECT_EQ(most, op.outputs.size()) << op.name << ": names and outputs differ in number";
  }
}

TEST(Table, FlopsAreCountedAndFinite) {
  for (const Op& op : op_table()) {
    SampleGraph s = sample_graph(op, op.samples[0], DType::float32);
    double flops = op.flops(s.graph, s.graph.nodes[0]);
    EXPECT_TRUE(std::isfinite(flops)) << op.name;
    if (op.is_view) {
      EXPECT_EQ(flops, 0) << op.name;
    } else {
      EXPECT_GT(flops, 0) << op.name;
    }
  }
}

// The shape rule and the kernel agree: all that the rule speaks of is written, whatever lay there before, and
// nothing behind it.
TEST(Table, KernelsWriteWhatTheShapeRuleSays) {
  auto backend = make_reference_backend();
  for (const Op& op : op_table()) {
    for (size_t i = 0; i < op.samples.size(); ++i) {
      SCOPED_TRACE(sample_name(op, i));
      SampleGraph s = sample_graph(op, op.samples[i], DType::float32);
      verify(s.graph);
      GraphRun run(s.graph, *backend);
      run.draw_inputs(s, op.samples[i], s.graph.nodes[0].attributes, 3);
      std::vector<std::vector<double>> once;
      run.fill_produced(std::byte{0x11});
      run.run(test_scalars());
      for (ValueId id : s.outputs) once.push_back(run.values(id));
      run.fill_produced(std::byte{0x22});
      run.run(test_scalars());
      for (size_t k = 0; k < s.outputs.size(); ++k)
        EXPECT_EQ(run.values(s.outputs[k]), once[k]) << op.outputs[k];
      EXPECT_TRUE(run.overruns().empty());
    }
  }
}

TEST(Table, FloatAndDoubleKernelsAgree) {
  auto backend = make_reference_backend();
  for (const Op& op : op_table()) {
    for (size_t i = 0; i < op.samples.size(); ++i) {
      SCOPED_TRACE(sample_name(op, i));
      auto narrow = run_sample(op, op.samples[i], DType::float32, *backend);
      auto wide = run_sample(op, op.samples[i], DType::float64, *backend);
      ASSERT_EQ(narrow.size(), wide.size());
      for (size_t k = 0; k < wide.size(); ++k)
        EXPECT_LT(relative_error(narrow[k], wide[k]), 2e-6) << op.outputs[k];
    }
  }
}

TEST(Table, OverwritingAnInputChangesNothing) {
  auto backend = make_reference_backend();
  size_t tried = 0;
  for (const Op& op : op_table()) {
    if (op.in_place_input < 0 && !op.is_view) continue;
    for (size_t i = 0; i < op.samples.size(); ++i) {
      SCOPED_TRACE(sample_name(op, i));
      EXPECT_EQ(run_sample(op, op.samples[i], DType::float32, *backend, true),
                run_sample(op, op.samples[i], DType::float32, *backend, false));
      ++tried;
    }
  }
  EXPECT_GT(tried, 0u);
}

// Expects GraphError that names the origin and the op.
void expect_refused(const Op& op, SampleGraph& s, const std::vector<ValueId>& inputs,
                    const Attributes& attributes, const std::string& why) {
  size_t nodes = s.graph.nodes.size(), values = s.graph.values.size();
  try {
    GraphWriter(s.graph, "model.layer[2]").add(op.name, inputs, attributes);
    ADD_FAILURE() << op.name << " accepts " << why;
  } catch (const GraphError& error) {
    EXPECT_EQ(std::string(error.what()).rfind("model.layer[2]: " + op.name + ": ", 0), 0u) << error.what();
  }
  EXPECT_EQ(s.graph.nodes.size(), nodes) << "a refused node leaves the graph as it was";
  EXPECT_EQ(s.graph.values.size(), values);
}

TEST(Table, WrongArityIsRefused) {
  for (const Op& op : op_table()) {
    const OpSample& sample = op.samples[0];
    SampleGraph s = sample_inputs(op, sample, DType::float32);
    std::vector<ValueId> inputs(s.inputs.begin(),
                                s.inputs.begin() + static_cast<std::ptrdiff_t>(op.required_inputs));
    std::vector<ValueId> fewer(inputs.begin(), inputs.end() - 1);
    expect_refused(op, s, fewer, sample.attributes, "too few inputs");
    std::vector<ValueId> more = s.inputs;
    more.push_back(s.inputs[0]);
    expect_refused(op, s, more, sample.attributes, "too many inputs");
    for (size_t i = 0; i < op.required_inputs; ++i) {
      std::vector<ValueId> absent = s.inputs;
      absent[i] = no_id;
      expect_refused(op, s, absent, sample.attributes, "an absent input " + op.inputs[i]);
    }
    std::vector<ValueId> unknown = s.inputs;
    unknown[0] = 1000;
    expect_refused(op, s, unknown, sample.attributes, "a value that is not there");
  }
}

TEST(Table, WrongDTypeIsRefused) {
  for (const Op& op : op_table()) {
    const OpSample& sample = op.samples[0];
    for (size_t i = 0; i < op.max_inputs; ++i) {
      SampleGraph s = sample_inputs(op, sample, DType::float32);
      if (s.inputs[i] == no_id) continue;
      s.graph.value(s.inputs[i]).type.dtype = DType::int64;
      expect_refused(op, s, s.inputs, sample.attributes, "an int64 " + op.inputs[i]);
    }
  }
}

TEST(Table, MixedFloatingTypesAreRefused) {
  for (const Op& op : op_table()) {
    const OpSample& sample = op.samples[0];
    SampleGraph s = sample_inputs(op, sample, DType::float32);
    size_t floating = 0;
    for (ValueId id : s.inputs) floating += id != no_id && is_floating(s.graph.value(id).type.dtype);
    if (floating < 2) continue;
    s.graph.value(s.inputs[0]).type.dtype = DType::float64;
    expect_refused(op, s, s.inputs, sample.attributes, "float64 next to float32");
  }
}

TEST(Table, WrongRankIsRefused) {
  // Their first input may have any number of axes, one or two at least.
  const std::set<std::string> any_axes = {"relu",
                                          "tanh",
                                          "sigmoid",
                                          "dropout",
                                          "batch_norm",
                                          "batch_norm_inference",
                                          "dropout_backward",
                                          "linear",
                                          "linear_backward_data",
                                          "gelu",
                                          "layer_norm",
                                          "cast",
                                          "scale_gradient",
                                          "scale_gradient_backward",
                                          "affine",
                                          "leaky_relu",
                                          "group_norm",
                                          "bias_backward",
                                          "binary_cross_entropy"};
  for (const Op& op : op_table()) {
    const OpSample& sample = op.samples[0];
    for (size_t i = 0; i < op.max_inputs; ++i) {
      SampleGraph s = sample_inputs(op, sample, DType::float32);
      if (s.inputs[i] == no_id) continue;
      std::vector<int64_t> extents = s.graph.shape(s.inputs[i]).extents();
      s.graph.value(s.inputs[i]).type.shape = Shape();
      expect_refused(op, s, s.inputs, sample.attributes, "a scalar " + op.inputs[i]);
      if (i == 0 && any_axes.count(op.name)) continue;
      extents.insert(extents.begin(), 1);
      s.graph.value(s.inputs[i]).type.shape = Shape(extents);
      expect_refused(op, s, s.inputs, sample.attributes, "an axis more in " + op.inputs[i]);
    }
  }
}

TEST(Table, WrongExtentIsRefused) {
  for (const Op& op : op_table()) {
    const OpSample& sample = op.samples[0];
    for (size_t i = 1; i < op.max_inputs; ++i) {  // of one input alone, any extent is right
      SampleGraph s = sample_inputs(op, sample, DType::float32);
      if (s.inputs[i] == no_id) continue;
      Shape& shape = s.graph.value(s.inputs[i]).type.shape;
      bool free_output = op.name == "linear" || op.name == "convolution";
      bool weights = op.name.find("backward_weights") != std::string::npos;
      // The axis that another input fixes: outputs of weights are free unless a bias says otherwise.
      size_t axis = free_output && i == 1 ? shape.rank() - 2 : weights ? 0 : shape.rank() - 1;
      if (op.name == "linear_backward_data" || op.name == "convolution_backward_data")
        axis = shape.rank() - 1;
      shape[axis] += 1;
      expect_refused(op, s, s.inputs, sample.attributes, "another extent in " + op.inputs[i]);
    }
  }
}

TEST(Table, UnknownAndMistypedAttributesAreRefused) {
  for (const Op& op : op_table()) {
    const OpSample& sample = op.samples[0];
    SampleGraph s = sample_inputs(op, sample, DType::float32);
    Attributes unknown = sample.attributes;
    unknown.set("no_such_attribute", int64_t{1});
    expect_refused(op, s, s.inputs, unknown, "an unknown attribute");
    for (const AttributeRule& rule : op.attributes) {
      Attributes mistyped = sample.attributes;
      bool integer = std::holds_alternative<int64_t>(rule.default_value);
      mistyped.set(rule.name, integer ? Attribute(1.0) : Attribute(int64_t{1}));
      expect_refused(op, s, s.inputs, mistyped, rule.name + " of the wrong type");
      if (op.name == "affine") continue;  // takes any numbers
      Attributes negative = sample.attributes;
      negative.set(rule.name, integer ? Attribute(int64_t{-1}) : Attribute(-0.5));
      expect_refused(op, s, s.inputs, negative, "a negative " + rule.name);
    }
  }
}

TEST(Table, MessagesSayWhatIsWrongAndWhatIsNear) {
  try {
    find_op("convolutoin");
    FAIL();
  } catch (const GraphError& error) {
    EXPECT_NE(std::string(error.what()).find("'convolution'"), std::string::npos) << error.what();
  }
  Graph graph;
  ValueId x = graph.add_input("x", {DType::float32, {2, 6, 6, 3}});
  ValueId w = graph.add_parameter("w", {3, 3, 4, 5}, {});
  try {
    GraphWriter(graph, "conv1").add("convolution", {x, w});
    FAIL();
  } catch (const GraphError& error) {
    EXPECT_STREQ(
        error.what(),
        "conv1: convolution: input 1 (w[KH, KW, C, O]) must be float32[3, 3, 3, 5], got float32[3, 3, 4, 5]");
  }
  try {
    GraphWriter(graph, "pool1").add("max_pool", {x}, {{"strid", int64_t{1}}});
    FAIL();
  } catch (const GraphError& error) {
    EXPECT_STREQ(error.what(), "pool1: max_pool: unknown attribute 'strid'; the nearest is 'stride'");
  }
}

}  // namespace
}  // namespace trireme::test
