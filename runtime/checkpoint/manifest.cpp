#include "checkpoint/manifest.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/hash.h"
#include "checkpoint/json_number.h"

namespace trireme {
namespace {

constexpr const char* format_name = "trireme-checkpoint";
constexpr std::string_view folder_prefix = "step-";

// The manifest's own hash stands last, over all that comes before it.
constexpr std::string_view hash_begin = ",\n  \"hash\": \"";
constexpr std::string_view hash_end = "\"\n}\n";

std::string hash_of(std::string_view text) { return xxh3_hex(std::as_bytes(std::span(text))); }

void check_own_hash(const std::string& text, const std::string& path) {
  size_t at = text.rfind(hash_begin);
  std::string_view body = std::string_view(text).substr(0, at);
  if (at == std::string::npos ||
      text.substr(at) != fmt::format("{}{}{}", hash_begin, hash_of(body), hash_end)) {
    throw CheckpointError("{}: is torn or damaged: its own hash does not match", path);
  }
}

ManifestFile file_of_json(const nlohmann::json& object, const char* hash_name, const std::string& path) {
  ManifestFile file{object.at("name").get<std::string>(), object.at("bytes").get<uint64_t>(),
                    object.at(hash_name).get<std::string>()};
  if (file.name.empty() || file.name.front() == '.' || file.name.find('/') != std::string::npos) {
    throw CheckpointError("{}: names the file '{}', which is none of the checkpoint's own", path, file.name);
  }
  return file;
}

}  // namespace

std::string manifest_json(const Manifest& manifest) {
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (const ManifestFile& file : manifest.files) {
    files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"xxh3_128", file.hash}});
  }
  nlohmann::ordered_json object = {{"format", format_name},
                                   {"version", Manifest::current_version},
                                   {"step", manifest.step},
                                   {"epoch", manifest.epoch},
                                   {"start", manifest.start}};
  if (manifest.validation) object["validation"] = validation_json(*manifest.validation);
  object["files"] = files;
  std::string text = object.dump(2);
  text.resize(text.rfind('\n'));  // without the closing brace
  return text + fmt::format("{}{}{}", hash_begin, hash_of(text), hash_end);
}

Manifest read_manifest(const std::filesystem::path& directory) {
  std::string path = (directory / Manifest::file_name).string();
  std::string text = read_file(path);
  Manifest manifest;
  try {
    nlohmann::json object = nlohmann::json::parse(text);
    if (object.at("format").get<std::string>() != format_name) {
      throw CheckpointError("{}: is not the manifest of a checkpoint", path);
    }
    manifest.version = object.at("version").get<int64_t>();
    // A flipped bit in the number is damage; a whole manifest of another number is another build's.
    if (manifest.version != 1) check_own_hash(text, path);
    if (manifest.version < 1 || manifest.version > Manifest::current_version) {
      throw NewerFormatError(
          "{}: has format version {}, this build reads up to {}: use the build that wrote it", path,
          manifest.version, Manifest::current_version);
    }
    bool first_version = manifest.version == 1;
    manifest.step = object.at("step").get<int64_t>();
    manifest.epoch = object.at("epoch").get<int64_t>();
    if (!first_version) manifest.start = object.at("start").get<int64_t>();
    if (object.contains("validation")) manifest.validation = validation_of_json(object.at("validation"));
    for (const auto& file : object.at("files")) {
      manifest.files.push_back(file_of_json(file, first_version ? "sha256" : "xxh3_128", path));
    }
  } catch (const nlohmann::json::exception& error) {
    throw CheckpointError("{}: is torn or damaged: {}", path, error.what());
  } catch (const DataError& error) {
    throw CheckpointError("{}: is damaged: {}", path, error.what());
  }
  if (manifest.files.empty()) throw CheckpointError("{}: names no file", path);
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
