#include "data/prepare_common.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/hash.h"
#include "base/rng.h"

namespace trireme {

namespace fs = std::filesystem;

namespace {
constexpr int64_t format_version = 1;
}

void SourceRecord::add_file(const std::string& path, const std::string& origin) {
  if (!fs::exists(path)) throw MissingInputError("{}: {}: no such file", origin, path);
  if (!fs::is_regular_file(path)) throw MissingInputError("{}: {}: not a file", origin, path);
  sources.push_back(fs::path(path).filename());
  sha256.push_back(sha256_of_file(path));
}

bool SourceRecord::holds_for(std::span<const std::string> outputs) const {
  return std::all_of(outputs.begin(), outputs.end(), [&](const std::string& output) {
    if (!fs::exists(output)) return false;
    try {
      h5::Handle file = h5::open_file(output);
      return h5::read_string_attribute(file, "format") == format &&
             h5::read_int_attribute(file, "format_version") == format_version &&
             h5::read_string_attribute(file, "settings") == settings &&
             h5::read_strings_attribute(file, "source_sha256") == sha256;
    } catch (const DataError&) {
      return false;  // damaged or not ours: made anew
    }
  });
}

void SourceRecord::write(const h5::Handle& file) const {
  h5::write_attribute(file, "format", format);
  h5::write_attribute(file, "format_version", format_version);
  h5::write_attribute(file, "settings", settings);
  h5::write_attribute(file, "sources", sources);
  h5::write_attribute(file, "source_sha256", sha256);
}

OutputFile::OutputFile(const fs::path& path) {
  if (path.has_parent_path()) make_directories(path.parent_path());
  pending_ = std::make_unique<PendingFile>(path);
  file_ = h5::create_file(pending_->aside());
}

void OutputFile::commit(const SourceRecord& record) {
  record.write(file_);
  h5::close_file(std::move(file_));
  pending_->commit();
}

std::vector<std::string> outputs_of(const PrepareDatasetConfig& config) {
  std::vector<std::string> outputs{config.output};
  if (!config.validation_output.empty()) outputs.push_back(config.validation_output);
  return outputs;
}

bool kept_apart(int64_t sample, double fraction) {
  RandomStream draw(0, Purpose::shuffle, static_cast<uint64_t>(sample), 1);
  return draw.uniform() < fraction;
}

void Histogram::statistics(std::vector<double>& mean, std::vector<double>& deviation) const {
  for (const auto& counts : counts_) {
    double n = 0, sum = 0, squares = 0;
    for (size_t value = 0; value < counts.size(); ++value) {
      auto count = static_cast<double>(counts[value]);
      n += count;
      sum += count * static_cast<double>(value);
    }
    double center = sum / n;
    for (size_t value = 0; value < counts.size(); ++value) {
      double distance = static_cast<double>(value) - center;
      squares += static_cast<double>(counts[value]) * distance * distance;
    }
    mean.push_back(center / 255.0);
    deviation.push_back(std::sqrt(squares / n) / 255.0);
  }
}

std::string image_summary(int64_t images, const Shape& image_shape, int64_t classes,
                          std::span<const double> mean, std::span<const double> deviation) {
  return fmt::format("{} images of {}, {} classes, mean {:.4f}, std {:.4f}", images,
                     fmt::join(image_shape, " x "), classes, fmt::join(mean, " "), fmt::join(deviation, " "));
}

}  // namespace trireme
