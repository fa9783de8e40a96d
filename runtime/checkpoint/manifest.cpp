#include "checkpoint/manifest.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/error.h"

namespace trireme {
namespace {

constexpr const char* format_name = "trireme-checkpoint";
constexpr std::string_view folder_prefix = "step-";

}  // namespace

std::string manifest_json(const Manifest& manifest) {
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (const ManifestFile& file : manifest.files) {
    files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  }
  nlohmann::ordered_json object = {{"format", format_name},
                                   {"version", Manifest::current_version},
                                   {"step", manifest.step},
                                   {"epoch", manifest.epoch},
                                   {"files", files}};
  return object.dump(2) + '\n';
}

Manifest read_manifest(const std::filesystem::path& directory) {
  std::filesystem::path path = directory / Manifest::file_name;
  std::string text = read_file(path);
  Manifest manifest;
  try {
    nlohmann::json object = nlohmann::json::parse(text);
    if (object.at("format").get<std::string>() != format_name) {
      throw CheckpointError("{}: is not the manifest of a checkpoint", path.string());
    }
    auto version = object.at("version").get<int64_t>();
    if (version < 1 || version > Manifest::current_version) {
      throw CheckpointError(
          "{}: has format version {}, this build reads up to {}: use the build that wrote it", path.string(),
          version, Manifest::current_version);
    }
    manifest.step = object.at("step").get<int64_t>();
    manifest.epoch = object.at("epoch").get<int64_t>();
    for (const auto& file : object.at("files")) {
      manifest.files.push_back({file.at("name").get<std::string>(), file.at("bytes").get<uint64_t>(),
                                file.at("sha256").get<std::string>()});
      const std::string& name = manifest.files.back().name;
      if (name.empty() || name.front() == '.' || name.find('/') != std::string::npos) {
        throw CheckpointError("{}: names the file '{}', which is none of the checkpoint's own", path.string(),
                              name);
      }
    }
  } catch (const nlohmann::json::exception& error) {
    throw CheckpointError("{}: is torn or damaged: {}", path.string(), error.what());
  }
  if (manifest.files.empty()) throw CheckpointError("{}: names no file", path.string());
  return manifest;
}

std::string step_folder_name(int64_t step) { return fmt::format("{}{:010}", folder_prefix, step); }

int64_t step_of_folder_name(const std::string& name) {
  std::string_view digits = name;
  if (!digits.starts_with(folder_prefix)) return -1;
  digits.remove_prefix(folder_prefix.size());
  int64_t step = -1;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
  bool whole = error == std::errc() && end == digits.data() + digits.size() && step >= 0;
  return whole && name == step_folder_name(step) ? step : -1;
}

}  // namespace trireme
