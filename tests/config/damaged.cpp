// A damaged file is accepted or refused with one line, never anything else.
#include <gtest/gtest.h>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/rng.h"
#include "config/config.h"

namespace trireme {
namespace {

std::string damage(std::string text, RandomStream& draws) {
  const std::string letters = "[]{}=\"'.,#\n\r\t -+_0123456789eEinfT\\:\x01\xc3\xff";
  for (uint32_t n = 1 + draws.below(4); n > 0 && !text.empty(); --n) {
    size_t at = draws.below(static_cast<uint32_t>(text.size()));
    size_t length = std::min<size_t>(1 + draws.below(20), text.size() - at);
    switch (draws.below(4)) {
      case 0:
        text[at] = letters[draws.below(static_cast<uint32_t>(letters.size()))];
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.insert(at, text.substr(draws.below(static_cast<uint32_t>(text.size())), length));
        break;
      case 3:
        text.resize(at);
        break;
    }
  }
  return text;
}

TEST(DamagedConfigs, AreAcceptedOrRefusedInOneLine) {
  std::string whole = read_file(TRIREME_SOURCE_DIR "/configs/fashion_layers.toml");
  int refused = 0;
  for (uint64_t number = 0; number < 3000; ++number) {
    RandomStream draws(11, Purpose::test, number);
    std::string text = damage(whole, draws);
    SCOPED_TRACE(number);
    try {
      Config config = parse_config(text, "x.toml");
      EXPECT_EQ(parse_config(dump_config(config), "dump"), config);
    } catch (const ConfigError& error) {
      std::string message = error.what();
      EXPECT_EQ(message.rfind("x.toml:", 0), 0u) << message;
      EXPECT_EQ(message.find_first_of("\r\n"), std::string::npos) << message;
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
  EXPECT_LT(refused, 3000);
}

TEST(DamagedConfigs, NestingHasAnEnd) {
  std::string text = "[model]\nhidden = " + std::string(100000, '[');
  EXPECT_THROW(parse_config(text, "x.toml"), ConfigError);
  EXPECT_THROW(parse_config("", "x.toml", {"model.hidden=" + std::string(100000, '[')}), ConfigError);
}

}  // namespace
}  // namespace trireme
