// Text to tokens and back.
#include "data/tokenizer.h"

#include <gtest/gtest.h>

#include "base/hdf5.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace trireme {
namespace {

using namespace test;

TEST(Tokenizer, BytesAreThemselves) {
  Tokenizer tokenizer = Tokenizer::bytes();
  EXPECT_EQ(tokenizer.size(), 256);
  EXPECT_EQ(tokenizer.vocabulary()[255], "ff");
  std::string text("a\0\xff\n", 4);
  EXPECT_EQ(tokenizer.encode(text), (std::vector<int32_t>{97, 0, 255, 10}));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
}

TEST(Tokenizer, CharactersAreCodePoints) {
  Tokenizer tokenizer = Tokenizer::characters({"\n", "a", "ä", "€", "😀"});
  EXPECT_EQ(tokenizer.encode("😀€aä\n"), (std::vector<int32_t>{4, 3, 1, 2, 0}));
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{4, 3, 1, 2, 0}), "😀€aä\n");
  EXPECT_TRUE(tokenizer.encode("").empty());
  Tokenizer with_zero = Tokenizer::characters({"", "a"});
  EXPECT_EQ(with_zero.decode(with_zero.encode(std::string("a\0a", 3))), std::string("a\0a", 3));
}

TEST(Tokenizer, UnknownCharactersAreNamedOrReplaced) {
  expect_error(ExitCode::bad_data, {"byte 3", "'ä' (U+00E4)", "vocabulary"}, [] {
    Tokenizer::characters({"a", "b"}).encode("abä");
  });
  expect_error(ExitCode::bad_data, {"U+0009"}, [] { Tokenizer::characters({"a"}).encode("\t"); });
  Tokenizer lenient = Tokenizer::characters({"?", "a"}, "?");
  EXPECT_EQ(lenient.encode("aä"), (std::vector<int32_t>{1, 0}));
  expect_error(ExitCode::bad_data, {"'?'", "not in the vocabulary"},
               [] { Tokenizer::characters({"a"}, "?"); });
}

TEST(Tokenizer, BadVocabulariesAreRefused) {
  expect_error(ExitCode::bad_data, {"entry 1", "ab"}, [] { Tokenizer::characters({"a", "ab"}); });
  expect_error(ExitCode::bad_data, {"entries 0 and 1"}, [] { Tokenizer::characters({"a", "a"}); });
  expect_error(ExitCode::bad_data, {"SentencePiece"}, [] { Tokenizer::subword("no model"); });
  expect_error(ExitCode::bad_data, {"token 7", "2"}, [] {
    Tokenizer::characters({"a", "b"}).decode(std::vector<int32_t>{0, 7});
  });
}

TEST(Tokenizer, Utf8IsHeldToItsRules) {
  EXPECT_FALSE(first_invalid_utf8("plain, ä, €, 😀"));
  EXPECT_EQ(first_invalid_utf8("ab\xff"), 2u);
  EXPECT_EQ(first_invalid_utf8("\xc0\xaf"), 0u) << "overlong";
  EXPECT_EQ(first_invalid_utf8("\xe0\x80\x80"), 0u) << "overlong";
  EXPECT_EQ(first_invalid_utf8("a\xed\xa0\x80"), 1u) << "a surrogate";
  EXPECT_EQ(first_invalid_utf8("\xf4\x90\x80\x80"), 0u) << "beyond U+10FFFF";
  EXPECT_EQ(first_invalid_utf8("a\xe2\x82"), 1u) << "cut short";
  expect_error(ExitCode::bad_data, {"byte 2", "0xff"}, [] { Tokenizer::characters({"a"}).encode("a\xff"); });
}

TEST(Tokenizer, ComesFromADatasetFile) {
  TemporaryFolder folder;
  {
    h5::Handle file = h5::create_file(folder / "text.h5");
    h5::Handle tokens = h5::create_dataset(file, "/tokens", DType::uint8, Shape{2});
    std::vector<std::string> vocabulary{"", "\n", "x"};
    h5::write_attribute(tokens, "encoding", "characters");
    h5::write_attribute(tokens, "vocabulary", vocabulary);
    h5::Handle none = h5::create_file(folder / "none.h5");
  }
  Tokenizer tokenizer(folder / "text.h5");
  EXPECT_EQ(tokenizer.encoding(), "characters");
  EXPECT_EQ(tokenizer.encode("x\n"), (std::vector<int32_t>{2, 1}));
  expect_error(ExitCode::bad_data, {"none.h5", "/tokens"}, [&] { Tokenizer(folder / "none.h5"); });
  expect_error(ExitCode::no_input, {"missing.h5"}, [&] { Tokenizer(folder / "missing.h5"); });
}

}  // namespace
}  // namespace trireme
