// Every sweep in configs/ works as it stands.
#include <gtest/gtest.h>

#include <filesystem>

#include "config/sweep_config.h"
#include "sweep/space.h"

namespace trireme {
namespace {

TEST(ShippedSweeps, MakeTrialsAndSurviveADump) {
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(TRIREME_SOURCE_DIR "/configs")) {
    std::string name = entry.path().stem().string();
    if (entry.path().extension() != ".toml" || !name.starts_with("sweep_")) continue;
    SCOPED_TRACE(name);
    ++found;
    SweepConfig config = load_sweep_config(entry.path().string());
    EXPECT_EQ(config.sweep.name, name) << "sweeps' folders must not collide";
    EXPECT_EQ(parse_sweep_config(dump_sweep_config(config), "dump"), config);
    Config base = load_sweep_base(config);
    Space space = make_space(config, base);
    for (uint64_t i = 0; i < 100; ++i) {
      RandomStream random(1, Purpose::sweep, i);
      EXPECT_NO_THROW(make_trial_config(config, space.assignments(space.draw(random))));
    }
  }
  EXPECT_GE(found, 3);
}

}  // namespace
}  // namespace trireme
