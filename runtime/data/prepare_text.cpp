// Text: validated, cut into training and validation text, turned into tokens.
//
// The cut is the first beginning of a line at or after (1 - validation_fraction) of the bytes. A vocabulary
// of characters is that of both parts together (validation text has no letters of its own); subwords are
// learned from the training part alone.
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "base/hdf5.h"
#include "data/prepare_common.h"
#include "data/tokenizer.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

// A piece of one file that ends with a line (or with the file, or where a line is very long inside of it).
struct Block {
  const std::string* file;
  int64_t line;           // of its first byte, from 1
  int64_t file_offset;    // of its first byte
  int64_t global_offset;  // over all files
  std::string_view text;
};

// The length of the part of `text` to hand out: up to the last line end, or whole characters where there is
// none.
size_t whole_part(std::string_view text) {
  size_t line_end = text.rfind('\n');
  if (line_end != std::string_view::npos) return line_end + 1;
  size_t length = text.size();
  while (length > 0 && text.size() - length < 4 &&
         (static_cast<unsigned char>(text[length - 1]) & 0xC0) == 0x80) {
    --length;
  }
  // `length` now ends with a first byte (or is all of it): leave that character to the next block.
  return length > 1 ? length - 1 : text.size();
}

void for_each_block(const std::vector<std::string>& files, const std::function<void(const Block&)>& visit) {
  constexpr size_t block_bytes = size_t{1} << 20;
  std::string buffer;
  int64_t global_offset = 0;
  for (const std::string& path : files) {
    std::ifstream stream(path, std::ios::binary);
    if (!stream) throw IoError("{}: cannot be opened: {}", path, std::strerror(errno));
    int64_t line = 1, offset = 0;
    buffer.clear();
    for (bool more = true; more;) {
      size_t kept = buffer.size();
      buffer.resize(kept + block_bytes);
      stream.read(buffer.data() + kept, block_bytes);
      if (stream.bad()) throw IoError("{}: cannot be read: {}", path, std::strerror(errno));
      buffer.resize(kept + static_cast<size_t>(stream.gcount()));
      more = !stream.eof();
      size_t length = more ? whole_part(buffer) : buffer.size();
      if (length == 0) continue;
      std::string_view text = std::string_view(buffer).substr(0, length);
      visit({&path, line, offset, global_offset, text});
      line += std::count(text.begin(), text.end(), '\n');
      offset += static_cast<int64_t>(length);
      global_offset += static_cast<int64_t>(length);
      buffer.erase(0, length);
    }
  }
}

[[noreturn]] void fail_at(const Block& block, size_t place, const std::string& what) {
  std::string_view before = block.text.substr(0, place);
  int64_t line = block.line + std::count(before.begin(), before.end(), '\n');
  throw DataError("{}: line {}, byte {}: {}", *block.file, line,
                  block.file_offset + static_cast<int64_t>(place) + 1, what);
}

// What there is to know before the first token: size, validity, characters.
struct Survey {
  int64_t bytes = 0;
  std::vector<std::string> characters;  // sorted by code point
};

Survey survey(const PrepareDatasetConfig& config) {
  Survey found;
  std::set<std::string, std::less<>> characters;  // the byte order of UTF-8 is that of code points
  std::vector<bool> seen(128, false);
  for_each_block(config.files, [&](const Block& block) {
    found.bytes += static_cast<int64_t>(block.text.size());
    if (config.encoding == "bytes") return;
    if (std::optional<size_t> place = first_invalid_utf8(block.text)) {
      fail_at(
          block, *place,
          fmt::format("byte 0x{:02x} is not UTF-8 here; convert the file (iconv -t UTF-8), or use encoding = "
                      "\"bytes\"",
                      static_cast<unsigned char>(block.text[*place])));
    }
    for (size_t place = 0; place < block.text.size();) {
      auto first = static_cast<unsigned char>(block.text[place]);
      size_t bytes = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
      if (bytes == 1) {
        seen[first] = true;
      } else if (std::string_view one = block.text.substr(place, bytes); !characters.contains(one)) {
        characters.emplace(one);
      }
      place += bytes;
    }
  });
  for (int code = 0; code < 128; ++code) {
    if (!seen[static_cast<size_t>(code)]) continue;
    found.characters.push_back(code == 0 ? "" : std::string(1, static_cast<char>(code)));
  }
  found.characters.insert(found.characters.end(), characters.begin(), characters.end());
  return found;
}

// Where validation begins, as the place of a byte over all files; `bytes` where nothing is kept apart.
int64_t find_cut(const PrepareDatasetConfig& config, int64_t bytes) {
  if (config.validation_output.empty()) return bytes;
  auto wanted = static_cast<int64_t>((1.0 - config.validation_fraction) * static_cast<double>(bytes));
  int64_t cut = bytes;
  for_each_block(config.files, [&](const Block& block) {
    auto length = static_cast<int64_t>(block.text.size());
    if (cut != bytes || block.global_offset + length < wanted) return;
    size_t from = wanted > block.global_offset ? static_cast<size_t>(wanted - block.global_offset - 1) : 0;
    size_t end = block.text.find('\n', from);
    cut = block.global_offset + (end == std::string_view::npos ? length : static_cast<int64_t>(end) + 1);
  });
  return cut;
}

// Lines of the training text for SentencePiece, long ones in pieces, every so many only where there are very
// many.
class Sentences : public sentencepiece::SentenceIterator {
 public:
  Sentences(const std::vector<std::string>& files, int64_t cut) {
    constexpr int64_t enough_bytes = int64_t{64} << 20;
    int64_t stride = cut / enough_bytes + 1, number = 0;
    for_each_block(files, [&](const Block& block) {
      auto left = static_cast<size_t>(
          std::clamp<int64_t>(cut - block.global_offset, 0, static_cast<int64_t>(block.text.size())));
      std::string_view text = block.text.substr(0, left);
      while (!text.empty()) {
        size_t end = std::min(text.find('\n'), text.size());
        if (number++ % stride == 0) add(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
      }
    });
  }
  bool done() const override { return next_ == sentences_.size(); }
  void Next() override { ++next_; }
  const std::string& value() const override { return sentences_[next_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  void add(std::string_view line) {
    constexpr size_t longest = 4000;  // the trainer's own limit is 4192 bytes, and it drops what is longer
    while (!line.empty()) {
      size_t length = std::min(line.size(), longest);
      while (length < line.size() && (static_cast<unsigned char>(line[length]) & 0xC0) == 0x80) --length;
      sentences_.emplace_back(line.substr(0, length));
      line.remove_prefix(length);
    }
  }
  std::vector<std::string> sentences_;
  size_t next_ = 0;
};

// A model that gives every text back as it was: nothing is normalised, and what is in no piece falls back on
// bytes.
std::string train_subwords(const PrepareDatasetConfig& config, int64_t cut) {
  Sentences sentences(config.files, cut);
  if (sentences.done()) throw DataError("{}: no text to learn subwords from", config.files.front());
  const std::unordered_map<std::string, std::string> settings{
      {"model_type", "bpe"},
      {"vocab_size", std::to_string(config.vocabulary_size)},
      {"byte_fallback", "true"},
      {"normalization_rule_name", "identity"},
      {"add_dummy_prefix", "false"},
      {"remove_extra_whitespaces", "false"},
      {"character_coverage", "0.9999"},
      {"bos_id", "-1"},
      {"eos_id", "-1"},
      {"num_threads", "1"},
      {"minloglevel", "2"},
  };
  std::string model;
  auto status = sentencepiece::SentencePieceTrainer::Train(settings, &sentences, &model);
  if (!status.ok()) {
    throw DataError("{}: SentencePiece cannot learn {} subwords: {} (try another vocabulary_size)",
                    config.files.front(), config.vocabulary_size, status.ToString());
  }
  return model;
}

struct TextVocabulary {
  Tokenizer tokenizer;
  std::string model;  // subword
};

TextVocabulary vocabulary_of(const PrepareDatasetConfig& config, const Survey& found, int64_t cut) {
  if (!config.like.empty()) {
    Tokenizer like(config.like);
    if (like.encoding() != config.encoding) {
      throw DataError("{}: its encoding is \"{}\", but {} asks for \"{}\"", config.like, like.encoding(),
                      config.origin, config.encoding);
    }
    std::string model;
    if (config.encoding == "subword") {
      h5::Handle file = h5::open_file(config.like);
      h5::Handle stored = h5::open_dataset(file, "/tokenizer");
      model.resize(static_cast<size_t>(h5::shape_of(stored).elements()));
      h5::read_all(stored, DType::uint8, model.data());
    }
    if (!config.unknown.empty()) return {Tokenizer::characters(like.vocabulary(), config.unknown), model};
    return {std::move(like), model};
  }
  if (config.encoding == "bytes") return {Tokenizer::bytes(), ""};
  if (config.encoding == "subword") {
    std::string model = train_subwords(config, cut);
    return {Tokenizer::subword(model), model};
  }
  std::vector<std::string> characters = found.characters;
  if (!config.unknown.empty() &&
      std::find(characters.begin(), characters.end(), config.unknown) == characters.end()) {
    characters.push_back(config.unknown);
    std::sort(characters.begin(), characters.end());
  }
  return {Tokenizer::characters(std::move(characters), config.unknown), ""};
}

DType token_type(int64_t vocabulary) {
  if (vocabulary <= 256) return DType::uint8;
  return vocabulary <= 65536 ? DType::uint16 : DType::int32;
}

// Tokens in the type that they are stored in.
class TokenStore {
 public:
  explicit TokenStore(int64_t vocabulary) : type_(token_type(vocabulary)) {}
  int64_t count() const { return count_; }
  void add(std::span<const int32_t> tokens) {
    count_ += static_cast<int64_t>(tokens.size());
    for (int32_t token : tokens) {
      // Little-endian, as the machine has it: the low bytes come first.
      char bytes[sizeof token];
      std::memcpy(bytes, &token, sizeof token);
      values_.insert(values_.end(), bytes, bytes + size_of(type_));
    }
  }
  h5::Handle write(const h5::Handle& file) const {
    constexpr int64_t chunk_bytes = int64_t{128} << 10;
    h5::Handle tokens = h5::create_dataset(
        file, "/tokens", type_, Shape{count_},
        {.chunk = Shape{chunk_bytes / static_cast<int64_t>(size_of(type_))}, .fletcher32 = true});
    h5::write_all(tokens, type_, values_.data());
    return tokens;
  }

 private:
  DType type_;
  int64_t count_ = 0;
  std::vector<char> values_;
};

void write_text(OutputFile& output, const TokenStore& store, const TextVocabulary& vocabulary) {
  h5::Handle tokens = store.write(output.file());
  h5::write_attribute(tokens, "encoding", vocabulary.tokenizer.encoding());
  h5::write_attribute(tokens, "vocabulary", vocabulary.tokenizer.vocabulary());
  if (!vocabulary.tokenizer.unknown().empty()) {
    h5::write_attribute(tokens, "unknown", vocabulary.tokenizer.unknown());
  }
  if (vocabulary.model.empty()) return;
  h5::Handle model = h5::create_dataset(output.file(), "/tokenizer", DType::uint8,
                                        Shape{static_cast<int64_t>(vocabulary.model.size())},
                                        {.chunk = Shape{1 << 17}, .fletcher32 = true});
  h5::write_all(model, DType::uint8, vocabulary.model.data());
}

std::string summary_of(const std::string& path) {
  h5::Handle file = h5::open_file(path);
  h5::Handle tokens = h5::open_dataset(file, "/tokens");
  return fmt::format("{} tokens ({}), a vocabulary of {}", h5::shape_of(tokens)[0],
                     h5::read_string_attribute(tokens, "encoding"),
                     h5::read_strings_attribute(tokens, "vocabulary").size());
}

void write_all_texts(const PrepareDatasetConfig& config, const SourceRecord& record) {
  Survey found = survey(config);
  int64_t cut = find_cut(config, found.bytes);
  TextVocabulary vocabulary = vocabulary_of(config, found, cut);
  TokenStore training(vocabulary.tokenizer.size()), validation(vocabulary.tokenizer.size());
  std::vector<int32_t> tokens;
  for_each_block(config.files, [&](const Block& block) {
    auto own = static_cast<size_t>(
        std::clamp<int64_t>(cut - block.global_offset, 0, static_cast<int64_t>(block.text.size())));
    for (bool first : {true, false}) {
      std::string_view text = first ? block.text.substr(0, own) : block.text.substr(own);
      tokens.clear();
      if (auto fault = vocabulary.tokenizer.append(text, tokens)) {
        std::string remedy =
            config.like.empty() ? "" : " of " + config.like + "; `unknown` names one to take instead";
        fail_at(block, fault->byte + (first ? 0 : own), fault->what + remedy);
      }
      (first ? training : validation).add(tokens);
    }
  });
  if (training.count() < 2) {
    throw DataError("{}: {} token(s) of text; training needs two at least", config.files.front(),
                    training.count());
  }
  if (!config.validation_output.empty() && validation.count() < 2) {
    throw DataError("{}: validation_fraction = {} leaves {} token(s) for validation", config.files.front(),
                    config.validation_fraction, validation.count());
  }
  OutputFile output(config.output);
  write_text(output, training, vocabulary);
  if (!config.validation_output.empty()) {
    OutputFile other(config.validation_output);
    write_text(other, validation, vocabulary);
    other.commit(record);
  }
  output.commit(record);
}

}  // namespace

std::vector<PreparedFile> prepare_text(const PrepareDatasetConfig& config, bool force) {
  SourceRecord record{.format = "trireme text", .settings = {}, .sources = {}, .sha256 = {}};
  record.settings =
      fmt::format("encoding={} vocabulary_size={} unknown={} like={} validation_fraction={}", config.encoding,
                  config.encoding == "subword" ? config.vocabulary_size : 0, config.unknown,
                  !config.like.empty(), config.validation_output.empty() ? 0.0 : config.validation_fraction);
  for (const std::string& path : config.files) record.add_file(path, config.origin);
  if (!config.like.empty()) record.add_file(config.like, config.origin);
  std::vector<std::string> outputs = outputs_of(config);
  bool up_to_date = !force && record.holds_for(outputs);
  if (!up_to_date) write_all_texts(config, record);
  std::vector<PreparedFile> files;
  for (const std::string& path : outputs) files.push_back({path, up_to_date, summary_of(path), {}});
  return files;
}

}  // namespace trireme
