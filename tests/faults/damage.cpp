// Checkpoints damaged on the disk: cut short at many lengths, single bits flipped anywhere, files of one put
// into another. Always found out, told, and the older checkpoint is used.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <fstream>
#include <memory>
#include <mutex>
#include <set>

#include "base/error.h"
#include "base/rng.h"
#include "checkpoint/load.h"
#include "checkpoint/manifest.h"
#include "checkpoint/reader.h"
#include "faults/victim_process.h"
#include "faults/victim_run.h"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;

constexpr int64_t older_step = victim_steps - victim_interval;

std::string bytes_of(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

void put_bytes(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// What a reader took.
struct Seen {
  int64_t step = 0;
  std::vector<std::string> warnings;
  std::vector<float> values;  // of all tensors, one after the other; of a run that loads
};

// Places as a run has them, for content of these names and shapes.
struct Places {
  explicit Places(const CheckpointContent& content) {
    targets.parameters = places(content.parameters);
    targets.states = places(content.states);
    for (const OptimizerSlot& slot : content.slots)
      targets.slots.push_back({slot.name, places(slot.tensors)});
  }
  std::vector<MutableTensor> places(const std::vector<NamedTensor>& tensors) {
    std::vector<MutableTensor> made;
    for (const NamedTensor& tensor : tensors) {
      memory.emplace_back(tensor.values.size());
      made.push_back({tensor.name, tensor.shape, memory.back()});
    }
    return made;
  }
  std::vector<float> values() const {
    std::vector<float> all;
    for (const auto& one : memory) all.insert(all.end(), one.begin(), one.end());
    return all;
  }
  std::deque<std::vector<float>> memory;
  LoadTargets targets;
};

class Damage : public testing::Test {
 protected:
  // A finished run of two checkpoints.
  void SetUp() override {
    VictimEnd whole = victims_.run("run");
    ASSERT_EQ(whole.code, 0) << whole.errors;
    sha256_ = sha256_of(victims_.run_directory("run"));
    ASSERT_EQ(look().step, victim_steps);
    ASSERT_TRUE(look().warnings.empty());
    content_ = std::make_unique<Checkpoint>(newest());
    ASSERT_EQ(load().step, victim_steps);
    older_values_ = all_values(Checkpoint(older()).content());
    ASSERT_NE(older_values_, load().values);
    for (const auto& entry : fs::directory_iterator(newest())) files_.push_back(entry.path());
    std::ranges::sort(files_);
    ASSERT_EQ(files_.size(), 2u);
  }

  fs::path checkpoints() const { return victims_.run_directory("run") / "checkpoints"; }
  fs::path newest() const { return checkpoints() / step_folder_name(victim_steps); }
  fs::path older() const { return checkpoints() / step_folder_name(older_step); }
  static fs::path state_in(const fs::path& checkpoint) {
    return checkpoint / read_manifest(checkpoint).files.at(0).name;
  }

  Seen look() const {
    Seen seen;
    auto found = open_newest_checkpoint(
        checkpoints(), [&seen](const std::string& warning) { seen.warnings.push_back(warning); });
    if (found) seen.step = found->run().step;
    return seen;
  }

  // As a run does that goes on, which puts values where they belong before it knows that they are good.
  Seen load() const {
    Seen seen;
    Places places(content_->content());
    auto found = load_newest_checkpoint(checkpoints(), places.targets, [&seen](const std::string& warning) {
      seen.warnings.push_back(warning);
    });
    if (found) seen.step = found->run.step;
    seen.values = places.values();
    return seen;
  }
  static std::vector<float> all_values(const CheckpointContent& content) {
    std::vector<float> all;
    auto add = [&all](const std::vector<NamedTensor>& tensors) {
      for (const NamedTensor& one : tensors) all.insert(all.end(), one.values.begin(), one.values.end());
    };
    add(content.parameters);
    add(content.states);
    for (const OptimizerSlot& slot : content.slots) add(slot.tensors);
    return all;
  }

  // The newest one is refused, with a warning that names `path`, and the older one is taken: by both readers.
  testing::AssertionResult falls_back(const fs::path& path) const {
    if (auto looked = is_older(look(), path); !looked) return looked << " (looking)";
    Seen loaded = load();
    if (auto went = is_older(loaded, path); !went) return went << " (loading)";
    if (loaded.values != older_values_) return testing::AssertionFailure() << "loaded other values";
    return testing::AssertionSuccess();
  }
  static testing::AssertionResult is_older(const Seen& seen, const fs::path& path) {
    if (seen.step != older_step) return testing::AssertionFailure() << "took step " << seen.step;
    if (seen.warnings.size() != 1) return testing::AssertionFailure() << seen.warnings.size() << " warnings";
    if (seen.warnings[0].find(path.string()) == std::string::npos) {
      return testing::AssertionFailure() << "names no place: " << seen.warnings[0];
    }
    return testing::AssertionSuccess();
  }

  // A start of the damaged run (told not to be finished) says so, goes on from the older one, and ends well.
  void expect_run_recovers(const std::string& told) {
    fs::remove(victims_.run_directory("run") / "summary.json");
    VictimEnd end = victims_.run("run");
    EXPECT_EQ(end.code, 0) << end.errors;
    EXPECT_THAT(end.errors, testing::HasSubstr(told));
    EXPECT_THAT(end.output, testing::HasSubstr(fmt::format("step {}\n", older_step + 1)));
    EXPECT_EQ(wrong_with_finished_run(victims_.run_directory("run"), sha256_), "");
  }

  Victims victims_;
  std::string sha256_;
  std::unique_ptr<Checkpoint> content_;  // of the newest, as it was
  std::vector<float> older_values_;
  std::vector<fs::path> files_;  // of the newest checkpoint
};

TEST_F(Damage, cut_short_at_many_lengths) {
  size_t tried = 0;
  for (const fs::path& file : files_) {
    std::string whole = bytes_of(file);
    std::set<size_t> lengths{0, 1, 2, 511, 512, 513, whole.size() / 2, whole.size() - 1, whole.size() - 2};
    for (size_t page = 4096; page < whole.size(); page += 4096) lengths.insert({page - 1, page, page + 1});
    RandomStream random(7, Purpose::test, 1);
    for (int i = 0; i < (all_of_them() ? 2000 : 200); ++i) {
      lengths.insert(random.below(static_cast<uint32_t>(whole.size())));
    }
    for (size_t length : lengths) {
      if (length >= whole.size()) continue;
      put_bytes(file, whole.substr(0, length));
      EXPECT_TRUE(falls_back(file)) << file.filename() << " cut to " << length << " of " << whole.size();
      ++tried;
    }
    put_bytes(file, whole);
  }
  EXPECT_EQ(look().step, victim_steps);
  fmt::print("cut short: {} of {} found out\n", HasFailure() ? 0 : tried, tried);
  fs::resize_file(state_in(newest()), 100);
  expect_run_recovers("cut short");
}

TEST_F(Damage, single_bits_flipped) {
  std::vector<std::string> whole;
  size_t total = 0;
  for (const fs::path& file : files_) {
    whole.push_back(bytes_of(file));
    total += whole.back().size();
  }
  // A file's share of the samples goes with its size, but the manifest gets a fifth.
  const int samples = all_of_them() ? 20000 : 2000;
  int found_out = 0;
  std::map<std::string, int> tally;
  RandomStream random(7, Purpose::test, 2);
  for (int i = 0; i < samples; ++i) {
    bool of_manifest = i % 5 == 0;
    size_t which = (files_[0].filename() == Manifest::file_name) == of_manifest ? 0 : 1;
    std::string bytes = whole[which];
    size_t at = random.below(static_cast<uint32_t>(bytes.size()));
    auto bit = static_cast<int>(random.below(8));
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
    put_bytes(files_[which], bytes);
    auto verdict = falls_back(files_[which]);
    EXPECT_TRUE(verdict) << files_[which].filename() << ", bit " << bit << " of byte " << at;
    found_out += verdict ? 1 : 0;
    ++tally[files_[which].filename().string()];
    put_bytes(files_[which], whole[which]);
  }
  EXPECT_EQ(look().step, victim_steps);
  fmt::print("single bits flipped: {} of {} found out ({}; {} bytes in all)\n", found_out, samples,
             tally_text(tally), total);
  std::string bytes = bytes_of(state_in(newest()));
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  put_bytes(state_in(newest()), bytes);
  expect_run_recovers("is damaged: its hash is");
}

// Every bit of the manifest, the one file that has no other to vouch for it.
TEST_F(Damage, every_bit_of_the_manifest) {
  fs::path file = newest() / Manifest::file_name;
  std::string whole = bytes_of(file);
  for (size_t at = 0; at < whole.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
      put_bytes(file, bytes);
      ASSERT_TRUE(falls_back(file)) << "bit " << bit << " of byte " << at;
    }
  }
  fmt::print("bits of the manifest: {} of {} found out\n", whole.size() * 8, whole.size() * 8);
}

// All over the state file. HDF5 reads its tables before the hash is known: it must not crash, nor take the
// run down by what they say about lengths.
TEST_F(Damage, bits_all_over_the_state) {
  fs::path file = state_in(newest());
  std::string whole = bytes_of(file);
  int tried = 0;
  for (size_t at = 0; at < whole.size(); at += all_of_them() ? 1 : 5) {
    for (int bit = 0; bit < 8; bit += all_of_them() ? 1 : 5) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
      put_bytes(file, bytes);
      ASSERT_NO_THROW({
        Seen seen = load();
        EXPECT_EQ(seen.step, older_step);
        EXPECT_EQ(seen.values == older_values_, true);
      }) << "bit "
         << bit << " of byte " << at;
      ++tried;
    }
  }
  fmt::print("bits of the state, loading: {} of {} found out\n", tried, tried);
}

// A sector that came back as nothing, as ones, or as something else; and tables full of rubbish.
TEST_F(Damage, sectors_lost_or_garbled) {
  constexpr size_t sector = 512;
  fs::path file = state_in(newest());
  std::string whole = bytes_of(file);
  RandomStream random(7, Purpose::test, 3);
  int tried = 0;
  auto expect_found_out = [&](const std::string& bytes, size_t at, const char* what) {
    if (bytes == whole) return;  // it was so before
    put_bytes(file, bytes);
    EXPECT_TRUE(falls_back(file)) << what << " at " << at;
    ++tried;
  };
  for (size_t at = 0; at < whole.size(); at += sector) {
    size_t length = std::min(sector, whole.size() - at);
    for (char filling : {char{0}, char(0xff)}) {
      std::string bytes = whole;
      bytes.replace(at, length, length, filling);
      expect_found_out(bytes, at, "a sector of one value");
    }
    for (int i = 0; i < (all_of_them() ? 200 : 10); ++i) {
      std::string bytes = whole;
      // Few bytes, or all: HDF5 comes further into a table that is almost right.
      size_t few = i % 2 == 0 ? 1 + random.below(8) : length;
      for (size_t n = 0; n < few; ++n) {
        bytes[at + random.below(static_cast<uint32_t>(length))] = static_cast<char>(random.below(256));
      }
      expect_found_out(bytes, at, "a garbled sector");
    }
  }
  fmt::print("sectors lost or garbled: {} of {} found out\n", HasFailure() ? 0 : tried, tried);
}

TEST_F(Damage, the_state_of_another_checkpoint) {
  fs::copy_file(state_in(older()), state_in(newest()), fs::copy_options::overwrite_existing);
  EXPECT_TRUE(falls_back(state_in(newest())));
  expect_run_recovers("is damaged: its hash is");
}

TEST_F(Damage, the_manifest_of_another_checkpoint) {
  fs::copy_file(older() / Manifest::file_name, newest() / Manifest::file_name,
                fs::copy_options::overwrite_existing);
  EXPECT_TRUE(falls_back(newest()));
  expect_run_recovers("skipping the checkpoint of step 12");
}

// Both files, as when a folder is copied over another: all hashes are right, the step is not the folder's.
TEST_F(Damage, manifest_and_state_of_another_checkpoint) {
  fs::remove_all(newest());
  fs::copy(older(), newest());
  EXPECT_TRUE(falls_back(newest()));
  expect_run_recovers("step-0000000012: folder");
}

TEST_F(Damage, manifests_swapped) {
  fs::path aside = checkpoints() / "aside";
  fs::rename(newest() / Manifest::file_name, aside);
  fs::rename(older() / Manifest::file_name, newest() / Manifest::file_name);
  fs::rename(aside, older() / Manifest::file_name);
  std::vector<std::string> warnings;
  EXPECT_THROW(
      open_newest_checkpoint(checkpoints(), [&](const std::string& text) { warnings.push_back(text); }),
      CheckpointError);
  EXPECT_EQ(warnings.size(), 2u);
  // No silent fresh start where all work would be thrown away.
  fs::remove(victims_.run_directory("run") / "summary.json");
  VictimEnd end = victims_.run("run");
  EXPECT_EQ(end.code, static_cast<int>(ExitCode::bad_data)) << end.errors;
  EXPECT_THAT(end.errors, testing::HasSubstr("none of the 2 checkpoints"));
}

// What no manifest names does no harm, and goes.
TEST_F(Damage, additional_files) {
  put_bytes(newest() / "state-0001-1.h5", bytes_of(state_in(older())));
  put_bytes(newest() / "state-0000-0.h5.partial-77", "half");
  put_bytes(older() / "manifest.json.partial-77", "{");
  EXPECT_EQ(look().step, victim_steps);
  EXPECT_TRUE(look().warnings.empty());
  fs::remove(victims_.run_directory("run") / "summary.json");
  EXPECT_EQ(victims_.run("run").code, 0);
  EXPECT_EQ(wrong_with_finished_run(victims_.run_directory("run"), sha256_), "");
}

}  // namespace
}  // namespace trireme::test
