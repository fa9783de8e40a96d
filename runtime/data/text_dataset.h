// A text as samples: features int32 (length) tokens, targets the int32 (length) tokens that follow each.
#pragma once

#include <memory>

#include "data/dataset.h"
#include "data/split.h"
#include "data/text_file.h"

namespace trireme {

// The text is cut into windows of `length` tokens, one behind the other; there are as many as fit.
//
// In training, epochs cut it elsewhere: window i begins at min(offset + i * length, last place where one
// fits), with an offset below `length` drawn from (seed, epoch). So an epoch has as many samples as fit, sees
// nearly every token once (what lies before the offset waits for another epoch, the last window may overlap
// the one before), and over epochs every token comes at every place of a window. Without augmentation the
// offset is 0.
class TextDataset final : public Dataset {
 public:
  using File = TextFile;
  // The tokens of `part`, in windows of data.sequence_length. DataError when there are fewer than
  // sequence_length + 1 of them.
  TextDataset(std::shared_ptr<const TextFile> file, const DataConfig& config, const TextFile& like,
              Part part = {});
  // The end of the text is kept apart: windows of either part never share tokens.
  static Split split(const TextFile& file, const DataConfig& config);
  // DataError where the vocabulary is another.
  static void check_alike(const TextFile& training, const TextFile& validation);

  const std::filesystem::path& path() const override { return file_->path(); }
  int64_t size() const override { return (end_ - begin_ - 1) / length_; }
  SampleShape sample_shape() const override;
  std::string identity() const override;
  std::string description() const override;
  void write(const Visit& visit, std::span<const int64_t> samples, void* features,
             void* targets) const override;

  const TextFile& file() const { return *file_; }
  // Where the text of `sample` begins in the file.
  int64_t place_of(const Visit& visit, int64_t sample) const;

 private:
  int64_t offset_of(const Visit& visit) const;
  int64_t place_at(int64_t offset, int64_t sample) const;

  std::shared_ptr<const TextFile> file_;
  int64_t length_;
  int64_t begin_, end_;  // tokens of the file that are in this part
  Part part_;
};

}  // namespace trireme
