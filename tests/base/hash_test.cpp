#include "base/hash.h"

#include <gtest/gtest.h>

#include <fstream>

#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace trireme {
namespace {

std::string hash(const std::string& text) { return sha256_hex(std::as_bytes(std::span(text))); }

// FIPS 180-2, appendix B, and the well-known digest of nothing.
TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(hash(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hash(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesGiveTheSame) {
  std::string text(100'000, 'x');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7);
  Sha256 pieces;
  for (size_t at = 0, step = 1; at < text.size(); at += step, step = step * 2 + 1) {
    pieces.update(std::as_bytes(std::span(text).subspan(at, std::min(step, text.size() - at))));
  }
  EXPECT_EQ(pieces.hex(), hash(text));
}

TEST(Sha256, OfFiles) {
  test::TemporaryFolder folder;
  std::string text(3'000'001, 'q');
  std::ofstream(folder / "f") << text;
  EXPECT_EQ(sha256_of_file(folder / "f"), hash(text));
  std::ofstream(folder / "e").close();
  EXPECT_EQ(sha256_of_file(folder / "e"), hash(""));
  test::expect_error(ExitCode::no_input, {"none"}, [&] { sha256_of_file(folder / "none"); });
  test::expect_error(ExitCode::io, {"cannot be read"}, [&] { sha256_of_file(folder.path()); });
}

}  // namespace
}  // namespace trireme
