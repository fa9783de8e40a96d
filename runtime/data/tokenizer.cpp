#include "data/tokenizer.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/hdf5.h"

namespace trireme {
namespace {

// One character of valid or invalid UTF-8: bytes 0 where it is invalid.
struct Character {
  uint32_t code = 0;
  size_t bytes = 0;
};

Character character_at(std::string_view text, size_t place) {
  auto byte = [&](size_t offset) -> uint32_t {
    return place + offset < text.size() ? static_cast<unsigned char>(text[place + offset]) : 0;
  };
  auto follows = [&](size_t offset) { return (byte(offset) & 0xC0) == 0x80; };
  uint32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  if (first >= 0xC2 && first < 0xE0 && follows(1)) return {(first & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  if ((first & 0xF0) == 0xE0 && follows(1) && follows(2)) {
    uint32_t code = (first & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    if (code >= 0x800 && (code < 0xD800 || code > 0xDFFF)) return {code, 3};
  }
  if (first >= 0xF0 && first < 0xF5 && follows(1) && follows(2) && follows(3)) {
    uint32_t code = (first & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
    if (code >= 0x10000 && code <= 0x10FFFF) return {code, 4};
  }
  return {};
}

std::string invalid_utf8(std::string_view text, size_t place) {
  return fmt::format("byte 0x{:02x} is not UTF-8 here", static_cast<unsigned char>(text[place]));
}

}  // namespace

std::optional<size_t> first_invalid_utf8(std::string_view text) {
  for (size_t place = 0; place < text.size();) {
    size_t bytes = character_at(text, place).bytes;
    if (bytes == 0) return place;
    place += bytes;
  }
  return std::nullopt;
}

std::string describe_character(std::string_view character) {
  Character found = character_at(character, 0);
  bool shown = found.code >= 0x20 && (found.code < 0x7F || found.code > 0x9F);
  return shown ? fmt::format("'{}' (U+{:04X})", character.substr(0, found.bytes), found.code)
               : fmt::format("U+{:04X}", found.code);
}

struct Tokenizer::Subwords {
  sentencepiece::SentencePieceProcessor processor;
  int newline = -1;
};

Tokenizer Tokenizer::bytes() {
  Tokenizer tokenizer;
  tokenizer.encoding_ = "bytes";
  for (int value = 0; value < 256; ++value) tokenizer.vocabulary_.push_back(fmt::format("{:02x}", value));
  return tokenizer;
}

Tokenizer Tokenizer::characters(std::vector<std::string> vocabulary, const std::string& unknown) {
  Tokenizer tokenizer;
  tokenizer.use_characters(std::move(vocabulary), unknown);
  return tokenizer;
}

Tokenizer Tokenizer::subword(std::string_view model) {
  Tokenizer tokenizer;
  tokenizer.use_subwords(model);
  return tokenizer;
}

void Tokenizer::use_characters(std::vector<std::string> vocabulary, const std::string& unknown) {
  encoding_ = "characters";
  vocabulary_ = std::move(vocabulary);
  unknown_ = unknown;
  for (size_t i = 0; i < vocabulary_.size(); ++i) {
    const std::string& entry = vocabulary_[i];
    Character character = entry.empty() ? Character{0, 0} : character_at(entry, 0);
    if (character.bytes != entry.size()) {
      throw DataError("vocabulary entry {} (\"{}\") is not one character in UTF-8", i, entry);
    }
    if (character.code >= token_of_.size()) token_of_.resize(character.code + 1, -1);
    if (token_of_[character.code] >= 0) {
      throw DataError("vocabulary entries {} and {} are the same character", token_of_[character.code], i);
    }
    token_of_[character.code] = static_cast<int32_t>(i);
    if (!unknown.empty() && entry == unknown) unknown_token_ = static_cast<int32_t>(i);
  }
  if (!unknown.empty() && unknown_token_ < 0) {
    throw DataError("the character for unknown ones, {}, is not in the vocabulary",
                    describe_character(unknown));
  }
}

void Tokenizer::use_subwords(std::string_view model) {
  encoding_ = "subword";
  auto subwords = std::make_shared<Subwords>();
  auto status = subwords->processor.LoadFromSerializedProto(model);
  if (!status.ok()) throw DataError("no SentencePiece model: {}", status.ToString());
  for (int i = 0; i < subwords->processor.GetPieceSize(); ++i) {
    vocabulary_.push_back(subwords->processor.IdToPiece(i));
  }
  // Lines are encoded one by one: a line break is the piece of its own byte (the models are made with byte
  // fallback).
  subwords->newline = subwords->processor.PieceToId("<0x0A>");
  if (subwords->processor.IsUnknown(subwords->newline)) {
    throw DataError("the SentencePiece model has no bytes to fall back on; make it with byte_fallback");
  }
  subwords_ = std::move(subwords);
}

Tokenizer::Tokenizer(const std::filesystem::path& dataset) {
  h5::Handle file = h5::open_file(dataset);
  if (!h5::exists(file, "/tokens")) {
    throw DataError("{}: has no /tokens: not a text data set; make one with trireme-prepare",
                    dataset.string());
  }
  h5::Handle tokens = h5::open_dataset(file, "/tokens");
  std::string encoding = h5::read_string_attribute(tokens, "encoding");
  try {
    if (encoding == "bytes") {
      *this = bytes();
    } else if (encoding == "characters") {
      use_characters(
          h5::read_strings_attribute(tokens, "vocabulary"),
          h5::has_attribute(tokens, "unknown") ? h5::read_string_attribute(tokens, "unknown") : "");
    } else if (encoding == "subword") {
      h5::Handle stored = h5::open_dataset(file, "/tokenizer");
      std::string model(static_cast<size_t>(h5::shape_of(stored).elements()), '\0');
      h5::read_all(stored, DType::uint8, model.data());
      use_subwords(model);
    } else {
      throw DataError("the encoding \"{}\" is none of bytes, characters, subword", encoding);
    }
  } catch (const DataError& reason) {
    throw DataError("{}: {}", dataset.string(), reason.what());
  }
}

std::optional<Tokenizer::Fault> Tokenizer::append(std::string_view text, std::vector<int32_t>& tokens) const {
  if (encoding_ == "characters") return append_characters(text, tokens);
  if (encoding_ == "subword") return append_subwords(text, tokens);
  for (char byte : text) tokens.push_back(static_cast<unsigned char>(byte));
  return std::nullopt;
}

std::optional<Tokenizer::Fault> Tokenizer::append_characters(std::string_view text,
                                                             std::vector<int32_t>& tokens) const {
  for (size_t place = 0; place < text.size();) {
    Character character = character_at(text, place);
    if (character.bytes == 0) return Fault{place, invalid_utf8(text, place)};
    int32_t token = character.code < token_of_.size() ? token_of_[character.code] : -1;
    if (token < 0) token = unknown_token_;
    if (token < 0) {
      return Fault{place, fmt::format("the character {} is not in the vocabulary",
                                      describe_character(text.substr(place, character.bytes)))};
    }
    tokens.push_back(token);
    place += character.bytes;
  }
  return std::nullopt;
}

std::optional<Tokenizer::Fault> Tokenizer::append_subwords(std::string_view text,
                                                           std::vector<int32_t>& tokens) const {
  if (std::optional<size_t> place = first_invalid_utf8(text))
    return Fault{*place, invalid_utf8(text, *place)};
  std::vector<int> line_tokens;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = std::min(text.find('\n', begin), text.size());
    auto status = subwords_->processor.Encode(text.substr(begin, end - begin), &line_tokens);
    if (!status.ok()) return Fault{begin, "SentencePiece: " + status.ToString()};
    tokens.insert(tokens.end(), line_tokens.begin(), line_tokens.end());
    if (end < text.size()) tokens.push_back(subwords_->newline);
    begin = end + 1;
  }
  return std::nullopt;
}

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<int32_t> tokens;
  if (std::optional<Fault> fault = append(text, tokens)) {
    throw DataError("the text \"{}\", byte {}: {}", text.substr(0, std::min<size_t>(text.size(), 40)),
                    fault->byte + 1, fault->what);
  }
  return tokens;
}

std::string Tokenizer::decode(std::span<const int32_t> tokens) const {
  for (int32_t token : tokens) {
    if (token < 0 || token >= size()) {
      throw DataError("token {} is out of range: the vocabulary has {}", token, size());
    }
  }
  if (subwords_) {
    std::string text;
    auto status = subwords_->processor.Decode(std::vector<int>(tokens.begin(), tokens.end()), &text);
    if (!status.ok()) throw DataError("SentencePiece: {}", status.ToString());
    return text;
  }
  std::string text;
  for (int32_t token : tokens) {
    const std::string& entry = vocabulary_[static_cast<size_t>(token)];
    if (encoding_ == "bytes") {
      text += static_cast<char>(token);
    } else if (entry.empty()) {
      text += '\0';
    } else {
      text += entry;
    }
  }
  return text;
}

}  // namespace trireme
