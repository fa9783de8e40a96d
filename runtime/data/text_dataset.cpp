#include "data/text_dataset.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "data/identity.h"

namespace trireme {

TextDataset::TextDataset(std::shared_ptr<const TextFile> file, const DataConfig& config, const TextFile& like,
                         Part part)
    : file_(std::move(file)),
      length_(config.sequence_length),
      begin_(part.name.empty() ? 0 : part.begin),
      end_(part.name.empty() ? file_->tokens() : part.end),
      part_(std::move(part)) {
  check_alike(like, *file_);
  if (end_ - begin_ < length_ + 1) {
    throw DataError(
        "{}: holds {} tokens, too few for one sample of data.sequence_length = {} tokens and the one that "
        "follows",
        path().string(), end_ - begin_, length_);
  }
}

Split TextDataset::split(const TextFile& file, const DataConfig& config) {
  int64_t kept_apart =
      held_out(file.tokens(), config.validation_fraction, config.sequence_length + 1, "tokens", file.path());
  int64_t border = file.tokens() - kept_apart;
  return {.training = {.name = training_part, .begin = 0, .end = border},
          .validation = {.name = validation_part, .begin = border, .end = file.tokens()}};
}

void TextDataset::check_alike(const TextFile& training, const TextFile& validation) {
  if (training.encoding() == validation.encoding() && training.vocabulary() == validation.vocabulary())
    return;
  throw DataError(
      "{}: a text of {} ({} in its vocabulary) that does not fit the training data ({}: {}, {}): prepare it "
      "with "
      "like = \"{}\"",
      validation.path().string(), validation.encoding(), validation.vocabulary().size(),
      training.path().string(), training.encoding(), training.vocabulary().size(), training.path().string());
}

SampleShape TextDataset::sample_shape() const {
  SampleShape shape;
  shape.kind = SampleKind::text;
  shape.length = length_;
  shape.vocabulary = static_cast<int64_t>(file_->vocabulary().size());
  return shape;
}

// Of the tokens themselves only the ends: texts may be far larger than what may be read at every start, and
// what is read is checked by its checksum.
std::string TextDataset::identity() const {
  Identity identity(fmt::format("{} {} {}", file_->tokens(), file_->encoding(), file_->vocabulary().size()));
  for (const std::string& token : file_->vocabulary())
    identity.add(fmt::format("{} {}", token.size(), token));
  for (const std::string& hash : file_->source_sha256()) identity.add(hash);
  std::vector<int32_t> tokens(static_cast<size_t>(std::min<int64_t>(file_->tokens(), 1 << 14)));
  for (int64_t first : {int64_t{0}, file_->tokens() - static_cast<int64_t>(tokens.size())}) {
    file_->read(first, static_cast<int64_t>(tokens.size()), tokens.data());
    identity.add(std::span<const int32_t>(tokens));
  }
  identity.add(part_);
  return identity.hex();
}

std::string TextDataset::description() const {
  return fmt::format("{} samples: {} tokens of {} {} in windows of {}", size(), end_ - begin_,
                     file_->vocabulary().size(), file_->encoding(), length_);
}

int64_t TextDataset::offset_of(const Visit& visit) const {
  if (!visit.augment) return 0;
  RandomStream stream(visit.seed, Purpose::text_offset, static_cast<uint64_t>(visit.epoch));
  return stream.below(static_cast<uint32_t>(length_));
}

int64_t TextDataset::place_at(int64_t offset, int64_t sample) const {
  return std::min(begin_ + offset + sample * length_, end_ - 1 - length_);
}

int64_t TextDataset::place_of(const Visit& visit, int64_t sample) const {
  return place_at(offset_of(visit), sample);
}

void TextDataset::write(const Visit& visit, std::span<const int64_t> samples, void* features,
                        void* targets) const {
  auto* tokens = static_cast<int32_t*>(features);
  auto* following = static_cast<int32_t*>(targets);
  const int64_t offset = offset_of(visit);
  std::vector<int32_t> window(static_cast<size_t>(length_ + 1));
  for (int64_t sample : samples) {
    file_->read(place_at(offset, sample), length_ + 1, window.data());
    std::copy_n(window.begin(), length_, tokens);
    std::copy_n(window.begin() + 1, length_, following);
    tokens += length_;
    following += length_;
  }
}

}  // namespace trireme
