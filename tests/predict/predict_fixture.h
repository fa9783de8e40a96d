// A trained run, and what is predicted with it.
#pragma once

#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/hdf5.h"
#include "data/prepare.h"
#include "predict/predict.h"
#include "train/training_fixture.h"

namespace trireme::test {

class PredictTest : public TrainingTest {
 protected:
  // Of run `name`, by `ranks` thread ranks, to NAME.h5.
  PredictScores predicted(const Config& config, const std::string& name, int ranks = 1,
                          const std::filesystem::path& data = {}) {
    PredictScores scores;
    run_ranks(ranks, [&](Communicator& communicator) {
      PredictOptions options;
      options.run_directory = folder_ / name;
      options.data = data;
      options.output = folder_ / (name + ".h5");
      PredictScores own = predict(config, communicator, options);
      if (communicator.rank() == 0) scores = own;
    });
    return scores;
  }
  std::vector<float> values(const std::string& file, const std::string& path) const {
    h5::Handle opened = h5::open_file(folder_ / file), dataset = h5::open_dataset(opened, path);
    std::vector<float> all(static_cast<size_t>(h5::shape_of(dataset).elements()));
    h5::read_all(dataset, DType::float32, all.data());
    return all;
  }
  // A config over characters of a simple text, learned in a second.
  Config text_config(const std::string& extra = "") {
    if (!has("text.h5")) {
      std::string text;
      for (int i = 0; i < 400; ++i) text += i % 3 == 0 ? "hello world. " : "the sea is blue. ";
      write_file_atomically(folder_ / "text.txt", text + "\n");
      PrepareDatasetConfig prepare_config;
      prepare_config.kind = "text";
      prepare_config.files = {folder_ / "text.txt"};
      prepare_config.output = folder_ / "text.h5";
      prepare(prepare_config);
    }
    return parse_config(
        "", "test.toml",
        with({"data.train=" + (folder_ / "text.h5").string(), "data.validation_fraction=0.1",
              "data.sequence_length=16", "data.batch=8", "data.validation_batch=4", "train.threads=1",
              "train.epochs=2", "model.kind=gpt", "model.width=32", "model.depth=1", "model.heads=2",
              "optimizer.kind=adamw", "optimizer.learning_rate=0.01"},
             extra));
  }
  static std::vector<std::string> with(std::vector<std::string> keys, const std::string& extra) {
    std::istringstream words(extra);
    for (std::string word; words >> word;) keys.push_back(word);
    return keys;
  }
};

}  // namespace trireme::test
