#include "inspect/show.h"

#include <fmt/format.h>

#include "base/human.h"
#include "inspect/table.h"
#include "inspect/tensors.h"

namespace trireme {
namespace {

// A row a fact: its name for programs, for people, and its value.
struct Fact {
  std::string key;
  std::string words;
  nlohmann::ordered_json value;
  std::string text;
};

std::vector<Fact> facts_of(const Checkpoint& checkpoint) {
  const CheckpointRun& run = checkpoint.run();
  auto number = [](const std::string& key, const std::string& words, int64_t value) {
    return Fact{key, words, value, fmt::format("{}", value)};
  };
  auto text = [](const std::string& key, const std::string& words, const std::string& value) {
    return Fact{key, words, value, value};
  };
  std::vector<Fact> facts{
      text("directory", "checkpoint", checkpoint.directory().string()),
      text("version", "written by trireme", run.version),
      number("step", "steps done", run.step),
      number("epoch", "whole epochs", run.epoch),
      number("samples", "samples seen", run.samples),
      {"train_seconds", "time in training", run.train_seconds, fmt::format("{:.1f} s", run.train_seconds)},
      number("ranks", "ranks", run.world_size),
      {"start", "start of the run",
       checkpoint.start() > 0 ? nlohmann::ordered_json(checkpoint.start()) : nlohmann::ordered_json(nullptr),
       checkpoint.start() > 0 ? fmt::format("{}", checkpoint.start()) : "not known"},
      {"seed", "seed", run.seed, fmt::format("{}", run.seed)},
      text("dataset_identity", "training data", run.dataset_identity),
      {"bytes", "size", checkpoint.bytes(), human_bytes(static_cast<double>(checkpoint.bytes()))}};
  if (run.validation) {
    facts.push_back(
        {"validation", "validation", validation_json(*run.validation),
         fmt::format("{} (after step {})", validation_text(*run.validation), run.validation->step)});
  }
  return facts;
}

}  // namespace

Report show_report(const Checkpoint& checkpoint) {
  Report report;
  TextTable facts({"", ""});
  for (const Fact& fact : facts_of(checkpoint)) {
    report.json[fact.key] = fact.value;
    facts.add({fact.words, fact.text});
  }
  report.json["numbers"] = nlohmann::ordered_json::object();
  for (const auto& [name, value] : checkpoint.run().numbers) {
    report.json["numbers"][name] = value;
    facts.add({name, fmt::format("{}", value)});
  }
  report.json["config"] = checkpoint.run().config;
  report.json["tensors"] = nlohmann::ordered_json::array();

  TextTable table({"tensor", "shape", ">values", ">norm", ">min", ">max", ">not finite"});
  int64_t parameters = 0, non_finite = 0;
  for (const PlacedTensor& placed : placed_tensors(checkpoint.content())) {
    const Shape& shape = placed.tensor.shape;
    TensorFigures figures = figures_of(placed.tensor);
    if (placed.path.starts_with("parameters/")) parameters += shape.elements();
    non_finite += figures.non_finite;
    table.add({placed.path, shape.to_string(), fmt::format("{}", shape.elements()),
               fmt::format("{:.6g}", figures.norm), fmt::format("{:.6g}", figures.min),
               fmt::format("{:.6g}", figures.max), fmt::format("{}", figures.non_finite)});
    report.json["tensors"].push_back({{"name", placed.path},
                                      {"shape", shape.extents()},
                                      {"norm", figures.norm},
                                      {"min", figures.min},
                                      {"max", figures.max},
                                      {"non_finite", figures.non_finite}});
  }
  report.json["parameters"] = parameters;
  report.json["non_finite"] = non_finite;

  std::string head = facts.text();
  report.text = head.substr(head.find('\n') + 1);  // without the empty headings
  report.text += "\nconfig:\n\n" + checkpoint.run().config;
  if (!report.text.ends_with('\n')) report.text += '\n';
  report.text += fmt::format("\n{}, {} that are not finite in all:\n\n", counted(parameters, "parameter"),
                             counted(non_finite, "value"));
  report.text += table.text();
  return report;
}

}  // namespace trireme
