// Text to tokens in a file: the contract, the split, vocabularies, faults.
#include <gtest/gtest.h>

#include "data/samples.h"
#include "data/tokenizer.h"

namespace trireme {
namespace {

using namespace test;

class PrepareText : public testing::Test {
 protected:
  PrepareDatasetConfig config(const std::string& text, const std::string& encoding = "characters") {
    put(folder_ / "text.txt", text);
    PrepareDatasetConfig config;
    config.kind = "text";
    config.files = {folder_ / "text.txt"};
    config.encoding = encoding;
    config.output = folder_ / "out.h5";
    config.origin = "test.toml:1";
    return config;
  }
  std::vector<int32_t> tokens(const std::string& name) const {
    h5::Handle file = h5::open_file(folder_ / name);
    h5::Handle dataset = h5::open_dataset(file, "/tokens");
    std::vector<int32_t> values(static_cast<size_t>(h5::shape_of(dataset).elements()));
    h5::read_all(dataset, DType::int32, values.data());
    return values;
  }
  std::string text_of(const std::string& name) const {
    return Tokenizer(folder_ / name).decode(tokens(name));
  }
  void expect_bad(const PrepareDatasetConfig& config, std::initializer_list<std::string> parts) {
    expect_error(ExitCode::bad_data, parts, [&] { prepare(config); });
    EXPECT_FALSE(std::filesystem::exists(config.output));
  }
  TemporaryFolder folder_;
};

std::string lines(int count) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += fmt::format("{} bottles of beer on the wall, {} of them süß\n", i, i * i);
  return text;
}

TEST_F(PrepareText, CharactersAreStoredByTheContract) {
  auto made = prepare(config("bä a\nb"));
  ASSERT_EQ(made.size(), 1u);
  EXPECT_FALSE(made[0].up_to_date);
  EXPECT_EQ(made[0].summary, "6 tokens (characters), a vocabulary of 5");
  h5::Handle file = h5::open_file(folder_ / "out.h5");
  h5::Handle dataset = h5::open_dataset(file, "/tokens");
  EXPECT_EQ(h5::dtype_of(dataset), DType::uint8);
  EXPECT_TRUE(h5::has_fletcher32(dataset));
  EXPECT_EQ(h5::read_string_attribute(dataset, "encoding"), "characters");
  EXPECT_EQ(h5::read_strings_attribute(dataset, "vocabulary"),
            (std::vector<std::string>{"\n", " ", "a", "b", "ä"}));
  EXPECT_EQ(tokens("out.h5"), (std::vector<int32_t>{3, 4, 1, 2, 0, 3}));
}

TEST_F(PrepareText, EveryEncodingGivesTheTextBack) {
  std::string text = lines(300) + "  two  spaces\tand a tab, 😀 \n\nno end";
  for (const std::string encoding : {"bytes", "characters", "subword"}) {
    auto settings = config(text, encoding);
    settings.vocabulary_size = 400;
    prepare(settings);
    EXPECT_EQ(text_of("out.h5"), text) << encoding;
    EXPECT_EQ(Tokenizer(settings.output).encode(text), tokens("out.h5")) << encoding;
  }
  EXPECT_LT(tokens("out.h5").size(), text.size() / 2) << "subwords are longer than characters";
}

TEST_F(PrepareText, LargeVocabulariesTakeWiderTokens) {
  std::string text;
  for (char second = '\x80'; second < '\xc0'; ++second) {
    for (char first : {'\xc4', '\xc5', '\xc6', '\xc7', '\xc8'}) text += {first, second};
  }
  prepare(config(text));
  h5::Handle file = h5::open_file(folder_ / "out.h5");
  EXPECT_EQ(h5::dtype_of(h5::open_dataset(file, "/tokens")), DType::uint16);
  EXPECT_EQ(text_of("out.h5"), text);
}

TEST_F(PrepareText, TheEndIsKeptApartFromALineOn) {
  for (const std::string encoding : {"bytes", "characters", "subword"}) {
    std::string text = lines(400);
    auto settings = config(text, encoding);
    settings.vocabulary_size = 400;
    settings.validation_output = folder_ / "validation.h5";
    settings.validation_fraction = 0.25;
    EXPECT_EQ(prepare(settings).size(), 2u);
    std::string validation = text_of("validation.h5");
    EXPECT_EQ(text_of("out.h5") + validation, text) << encoding;
    EXPECT_EQ(text_of("out.h5").back(), '\n');
    EXPECT_NEAR(static_cast<double>(validation.size()), 0.25 * static_cast<double>(text.size()), 100);
    EXPECT_EQ(Tokenizer(folder_ / "out.h5").vocabulary(), Tokenizer(folder_ / "validation.h5").vocabulary());
  }
}

TEST_F(PrepareText, ManyBlocksAndFilesAreOneText) {
  std::string text = lines(60000);  // more than two blocks
  auto settings = config(text + std::string(3 << 20, 'x') + "ü");
  put(folder_ / "more.txt", "and more\n");
  settings.files.push_back(folder_ / "more.txt");
  prepare(settings);
  EXPECT_EQ(text_of("out.h5"), text + std::string(3 << 20, 'x') + "üand more\n");
}

TEST_F(PrepareText, ValidationTakesTheTrainingVocabulary) {
  prepare(config("abc abc\n"));
  auto settings = config("cab");
  settings.like = folder_ / "out.h5";
  settings.output = folder_ / "other.h5";
  prepare(settings);
  EXPECT_EQ(tokens("other.h5"), (std::vector<int32_t>{4, 2, 3}));
  settings.output = folder_ / "third.h5";
  put(folder_ / "text.txt", "ab\ncaß");
  expect_bad(settings, {"text.txt", "line 2", "byte 6", "'ß' (U+00DF)", "`unknown`"});
  settings.unknown = "a";
  put(folder_ / "text.txt", "bßb");
  prepare(settings);
  EXPECT_EQ(text_of("third.h5"), "bab");
  settings.encoding = "bytes";
  settings.unknown = "";
  expect_error(ExitCode::bad_data, {"out.h5", "characters", "bytes"}, [&] { prepare(settings); });
}

TEST_F(PrepareText, SameSourcesSameBytes) {
  for (const std::string encoding : {"characters", "subword"}) {
    auto settings = config(lines(300), encoding);
    settings.vocabulary_size = 400;
    prepare(settings, true);
    std::string first = read_file(settings.output);
    EXPECT_TRUE(prepare(settings)[0].up_to_date);
    prepare(settings, true);
    EXPECT_EQ(read_file(settings.output), first) << encoding;
    settings.vocabulary_size = 401;
    EXPECT_EQ(prepare(settings)[0].up_to_date, encoding == "characters") << "only what matters counts";
    put(folder_ / "text.txt", lines(301));
    EXPECT_FALSE(prepare(settings)[0].up_to_date);
  }
}

TEST_F(PrepareText, FaultsAreNamed) {
  expect_bad(config("one\ntwo\nth\xffree"), {"text.txt", "line 3", "byte 11", "0xff", "UTF-8"});
  expect_bad(config("one\xe2\x82"), {"line 1", "byte 4"});
  expect_bad(config(""), {"text.txt", "0 token(s)"});
  expect_bad(config("tiny", "subword"), {"text.txt", "SentencePiece", "4096", "vocabulary_size"});
  auto settings = config("one line only\n");
  settings.validation_output = folder_ / "validation.h5";
  expect_bad(settings, {"validation_fraction", "0 token(s)"});
  settings.files = {folder_ / "none.txt"};
  expect_error(ExitCode::no_input, {"test.toml:1", "none.txt"}, [&] { prepare(settings); });
  settings.files = {folder_.path()};
  expect_error(ExitCode::no_input, {"not a file"}, [&] { prepare(settings); });
  put(settings.output, "what was there");
  expect_error(ExitCode::bad_data, {}, [&] { prepare(config("\xff")); });
  EXPECT_EQ(read_file(settings.output), "what was there");
}

}  // namespace
}  // namespace trireme
