#include "checkpoint/state_file.h"

#include <bit>
#include <set>

#include "base/error.h"

namespace trireme {
namespace {

void write_tensors(const h5::Handle& file, const std::string& group,
                   const std::vector<NamedTensor>& tensors) {
  h5::create_group(file, group);
  std::set<std::string> seen;
  for (const NamedTensor& tensor : tensors) {
    if (tensor.name.empty()) throw CheckpointError("a tensor to be saved in {} has no name", group);
    if (!seen.insert(tensor.name).second) {
      throw CheckpointError("two tensors to be saved in {} are named '{}'", group, tensor.name);
    }
    if (tensor.shape.elements() != static_cast<int64_t>(tensor.values.size())) {
      throw CheckpointError("{}/{}: shape {} does not fit its {} values", group, tensor.name,
                            tensor.shape.to_string(), tensor.values.size());
    }
    h5::Handle dataset = h5::create_dataset(file, group + "/" + tensor.name, DType::float32, tensor.shape);
    if (!tensor.values.empty()) h5::write_all(dataset, DType::float32, tensor.values.data());
  }
}

void write_optional(const h5::Handle& group, const char* name, const std::optional<double>& value) {
  if (value) h5::write_attribute(group, name, *value);
}

constexpr const char* number_names = "number_names";
constexpr const char* number_values = "number_values";

void write_numbers(const h5::Handle& group, const std::map<std::string, double>& numbers) {
  if (numbers.empty()) return;
  std::vector<std::string> names;
  std::vector<double> values;
  for (const auto& [name, value] : numbers) {
    names.push_back(name);
    values.push_back(value);
  }
  h5::write_attribute(group, number_names, std::span<const std::string>(names));
  h5::write_attribute(group, number_values, std::span<const double>(values));
}

std::map<std::string, double> read_numbers(const h5::Handle& group) {
  std::map<std::string, double> numbers;
  if (!h5::has_attribute(group, number_names)) return numbers;
  std::vector<std::string> names = h5::read_strings_attribute(group, number_names);
  std::vector<double> values = h5::read_double_attribute(group, number_values);
  if (names.size() != values.size()) {
    throw DataError("attributes '{}' and '{}' of {} are of different length", number_names, number_values,
                    run_group);
  }
  for (size_t i = 0; i < names.size(); ++i) numbers[names[i]] = values[i];
  return numbers;
}

}  // namespace

std::vector<std::byte> build_state_file(const CheckpointContent& content) {
  h5::Handle file = h5::create_file_in_memory();
  write_tensors(file, parameters_group, content.parameters);
  h5::create_group(file, optimizer_group);
  std::set<std::string> slots;
  for (const OptimizerSlot& slot : content.slots) {
    if (slot.name.empty() || slot.name.find('/') != std::string::npos || !slots.insert(slot.name).second) {
      throw CheckpointError("optimizer slot '{}': a slot's name must be single, not empty and without '/'",
                            slot.name);
    }
    write_tensors(file, std::string(optimizer_group) + "/" + slot.name, slot.tensors);
  }
  write_tensors(file, state_group, content.states);

  const CheckpointRun& run = content.run;
  h5::Handle group = h5::create_group(file, run_group);
  h5::write_attribute(group, "step", run.step);
  h5::write_attribute(group, "epoch", run.epoch);
  h5::write_attribute(group, "samples", run.samples);
  h5::write_attribute(group, "seed", std::bit_cast<int64_t>(run.seed));
  h5::write_attribute(group, "world_size", int64_t{run.world_size});
  h5::write_attribute(group, "config", run.config);
  h5::write_attribute(group, "version", run.version);
  h5::write_attribute(group, "dataset_identity", run.dataset_identity);
  h5::write_attribute(group, "train_seconds", run.train_seconds);
  if (run.validation) {
    h5::write_attribute(group, "validation_step", run.validation->step);
    h5::write_attribute(group, "validation_epoch", run.validation->epoch);
    h5::write_attribute(group, "validation_loss", run.validation->loss);
    write_optional(group, "validation_accuracy", run.validation->accuracy);
    write_optional(group, "validation_perplexity", run.validation->perplexity);
    write_optional(group, "validation_generator_loss", run.validation->generator_loss);
    write_optional(group, "validation_discriminator_loss", run.validation->discriminator_loss);
  }
  write_numbers(group, run.numbers);
  return h5::file_image(file);
}

CheckpointRun read_run(const h5::Handle& file) {
  h5::Handle group = h5::open_group(file, run_group);
  auto number = [&](const char* name) { return h5::read_int_attribute(group, name); };
  auto real = [&](const char* name) {
    std::vector<double> values = h5::read_double_attribute(group, name);
    if (values.size() != 1) throw DataError("attribute '{}' of {} must be one number", name, run_group);
    return values.front();
  };
  auto optional = [&](const char* name) -> std::optional<double> {
    if (!h5::has_attribute(group, name)) return std::nullopt;
    return real(name);
  };
  CheckpointRun run;
  run.step = number("step");
  run.epoch = number("epoch");
  run.samples = number("samples");
  run.seed = std::bit_cast<uint64_t>(number("seed"));
  run.world_size = static_cast<int>(number("world_size"));
  run.config = h5::read_string_attribute(group, "config");
  run.version = h5::read_string_attribute(group, "version");
  run.dataset_identity = h5::read_string_attribute(group, "dataset_identity");
  run.train_seconds = real("train_seconds");
  if (h5::has_attribute(group, "validation_step")) {
    run.validation = CheckpointValidation{number("validation_step"),
                                          number("validation_epoch"),
                                          real("validation_loss"),
                                          optional("validation_accuracy"),
                                          optional("validation_perplexity"),
                                          optional("validation_generator_loss"),
                                          optional("validation_discriminator_loss")};
  }
  run.numbers = read_numbers(group);
  return run;
}

}  // namespace trireme
