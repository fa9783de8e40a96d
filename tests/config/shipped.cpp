// Every file in configs/ works as it stands.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/atomic_file.h"
#include "config/config.h"
#include "config/prepare_config.h"

namespace trireme {
namespace {

TEST(ShippedConfigs, ParseAndSurviveADump) {
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(TRIREME_SOURCE_DIR "/configs")) {
    if (entry.path().extension() != ".toml") continue;
    SCOPED_TRACE(entry.path().string());
    if (read_file(entry.path()).find("[[prepare.dataset]]") != std::string::npos) {
      EXPECT_NO_THROW(load_prepare_config(entry.path().string()));
      continue;
    }
    if (entry.path().stem().string().starts_with("sweep_")) continue;  // tests/sweep/shipped.cpp
    ++found;
    Config config = load_config(entry.path().string());
    EXPECT_NO_THROW(require_training_keys(config));
    EXPECT_EQ(config.run.name, entry.path().stem().string()) << "run directories must not collide";
    EXPECT_EQ(parse_config(dump_config(config), "dump"), config);
  }
  EXPECT_GE(found, 5);
}

}  // namespace
}  // namespace trireme
