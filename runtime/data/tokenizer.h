// Text to tokens and back, as a text data set was written.
//
//   Tokenizer tokenizer("data/bible_kjv/train.h5");
//   std::vector<int32_t> tokens = tokenizer.encode("In the beginning");
//   std::string text = tokenizer.decode(tokens);
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trireme {

// Where the UTF-8 text ceases to be UTF-8 (Unicode standard, table 3-7: no overlong forms, no surrogates,
// nothing above U+10FFFF): the place of the first byte that cannot be decoded, or nothing.
std::optional<size_t> first_invalid_utf8(std::string_view text);

// How a character is shown in a message: "'x' (U+0078)".
std::string describe_character(std::string_view character);

// Immutable; all const members may be called from any number of threads.
class Tokenizer {
 public:
  // Reads /tokens' attributes (encoding, vocabulary, and unknown where there is one) and, for subwords,
  // /tokenizer. MissingInputError, IoError, DataError naming the file and what is missing or wrong (not a
  // text data set, say).
  explicit Tokenizer(const std::filesystem::path& dataset);

  // A byte is a token.
  static Tokenizer bytes();
  // A Unicode character is a token: the place of it in `vocabulary` (each one character in UTF-8; an empty
  // one stands for U+0000, which HDF5's texts cannot hold). With `unknown`, which must be in there, it is
  // what any character becomes that is not. DataError for entries that are not one character each, or double.
  static Tokenizer characters(std::vector<std::string> vocabulary, const std::string& unknown = "");
  // A SentencePiece model (Kudo and Richardson, EMNLP 2018), serialized. DataError when it is none.
  static Tokenizer subword(std::string_view model);

  // "bytes", "characters" or "subword".
  const std::string& encoding() const { return encoding_; }
  // A text for each token; for bytes "00" to "ff".
  const std::vector<std::string>& vocabulary() const { return vocabulary_; }
  int64_t size() const { return static_cast<int64_t>(vocabulary_.size()); }
  // What unknown characters become; empty where they are an error.
  const std::string& unknown() const { return unknown_; }

  // The tokens of UTF-8 text (of any bytes for "bytes"). DataError: invalid UTF-8, naming the byte's place; a
  // character that is not in the vocabulary, naming it and its place.
  std::vector<int32_t> encode(std::string_view text) const;

  // What ended an encoding: the byte's place in the text, and the fault in words.
  struct Fault {
    size_t byte;
    std::string what;
  };
  // Appends the tokens of `text`. At a fault, which is returned, `tokens` holds some of the text's.
  std::optional<Fault> append(std::string_view text, std::vector<int32_t>& tokens) const;

  // The text of tokens; what encode() made comes back as it was (but for unknown characters). DataError for a
  // token out of range, naming it. Subwords: tokens of half a character give U+FFFD.
  std::string decode(std::span<const int32_t> tokens) const;

 private:
  struct Subwords;
  Tokenizer() = default;
  void use_characters(std::vector<std::string> vocabulary, const std::string& unknown);
  void use_subwords(std::string_view model);
  std::optional<Fault> append_characters(std::string_view text, std::vector<int32_t>& tokens) const;
  std::optional<Fault> append_subwords(std::string_view text, std::vector<int32_t>& tokens) const;

  std::string encoding_;
  std::vector<std::string> vocabulary_;
  std::string unknown_;
  int32_t unknown_token_ = -1;
  std::vector<int32_t> token_of_;  // characters: by code point, -1 where there is none
  std::shared_ptr<const Subwords> subwords_;
};

}  // namespace trireme
