// Each fault of a config: one line, with place and remedy, exit 78.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "config/config.h"

namespace trireme {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct BadConfig {
  std::string name;
  std::string text;
  std::vector<std::string> parts;  // the first begins the message
  std::vector<std::string> overrides = {};
};

void PrintTo(const BadConfig& bad, std::ostream* out) { *out << bad.name; }

class BadConfigs : public testing::TestWithParam<BadConfig> {};

TEST_P(BadConfigs, TellPlaceAndRemedy) {
  const BadConfig& bad = GetParam();
  try {
    parse_config(bad.text, "net.toml", bad.overrides);
  } catch (const ConfigError& error) {
    std::string message = error.what();
    EXPECT_EQ(error.code(), ExitCode::bad_config);
    EXPECT_THAT(message, StartsWith(bad.parts.front()));
    for (const std::string& part : bad.parts) EXPECT_THAT(message, HasSubstr(part));
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return;
  }
  FAIL() << "was accepted";
}

const std::vector<BadConfig> cases{
    // syntax
    {"no_value", "[train]\nepochs =\n", {"net.toml:2:", "not valid TOML"}},
    {"best_of_nothing",
     "[data]\ntrain = \"a.h5\"\n[checkpoint]\nkeep_best = 2\n",
     {"net.toml:4:", "keep_best = 2", "data.validation"}},
    {"unclosed_header", "[train\nepochs = 1\n", {"net.toml:1:", "not valid TOML"}},
    {"unclosed_text", "[data]\n\ntrain = \"a.h5\n", {"net.toml:3:", "not valid TOML"}},
    {"bare_word", "[model]\nkind = cnn\n", {"net.toml:2:", "not valid TOML"}},
    {"not_utf8", "[run]\nname = \"\xff\"\n", {"net.toml:2:", "not valid TOML"}},
    {"binary", std::string("\x89HDF\r\n\x1a\n\0\0", 10), {"net.toml:1:", "not valid TOML"}},
    {"integer_too_large", "[run]\nseed = 99999999999999999999\n", {"net.toml:2:", "not valid TOML"}},
    // duplicates
    {"duplicate_key", "[train]\nepochs = 1\nepochs = 2\n", {"net.toml:3:", "epochs"}},
    {"duplicate_table", "[train]\nepochs = 1\n[run]\n[train]\nsteps = 2\n", {"net.toml:4:", "train"}},
    // names
    {"unknown_key",
     "[train]\nepoch = 3\n",
     {"net.toml:2:1: unknown key train.epoch", "did you mean train.epochs?"}},
    {"swapped_letters",
     "[optimizer]\n  learnign_rate = 1.0\n",
     {"net.toml:2:3:", "did you mean optimizer.learning_rate?"}},
    {"right_key_in_wrong_table", "[train]\nbatch = 3\n", {"net.toml:2:1:", "did you mean data.batch?"}},
    {"key_without_table", "epochs = 3\n", {"net.toml:1:1: unknown key epochs", "did you mean train.epochs?"}},
    {"far_key", "[comm]\nzzzzzzzz = 3\n", {"net.toml:2:1:", "[comm] takes transport, require_rdma, backend"}},
    {"far_key_without_table", "zzzzzzzz = 3\n", {"net.toml:1:1:", "--help-config"}},
    {"unknown_table",
     "[optimiser]\nkind = \"sgd\"\n",
     {"net.toml:1:2: unknown table [optimiser]", "did you mean [optimizer]?"}},
    {"far_table", "[zzz]\n", {"net.toml:1:2:", "there are [run], [data]"}},
    {"unknown_table_below", "[data.transforms]\n", {"net.toml:1:7:", "did you mean [data.transform]?"}},
    {"dotted_unknown_key",
     "data.bacth = 3\n",
     {"net.toml:1:6: unknown key data.bacth", "did you mean data.batch?"}},
    {"key_in_capitals", "[run]\nSeed = 3\n", {"net.toml:2:1:", "did you mean run.seed?"}},
    {"empty_key", "[run]\n\"\" = 3\n", {"net.toml:2:1:", "unknown key"}},
    // types
    {"text_for_integer",
     "[train]\nepochs = \"3\"\n",
     {"net.toml:2:1: train.epochs: expected an integer, found the text \"3\""}},
    {"number_for_integer",
     "[train]\nepochs = 1.5\n",
     {"net.toml:2:1:", "expected an integer, found the number 1.5"}},
    {"whole_number_for_integer", "[train]\nepochs = 1e1\n", {"net.toml:2:1:", "expected an integer (10)"}},
    {"integer_for_text",
     "[run]\nname = 5\n",
     {"net.toml:2:1:", "run.name: expected a text in quotes, found the integer 5"}},
    {"integer_for_flag", "[data]\nshuffle = 1\n", {"net.toml:2:1:", "expected true or false"}},
    {"text_for_number", "[optimizer]\nlearning_rate = \"fast\"\n", {"net.toml:2:1:", "expected a number"}},
    {"integer_for_list",
     "[model]\nkind = \"mlp\"\nhidden = 64\n",
     {"net.toml:3:1:", "expected a list of integers"}},
    {"text_in_list",
     "[model]\nkind = \"mlp\"\nhidden = [64, \"32\"]\n",
     {"net.toml:3:1:", "found the text \"32\""}},
    {"date", "[train]\nepochs = 2024-01-01\n", {"net.toml:2:1:", "found a date"}},
    {"table_for_key",
     "[train.epochs]\nvalue = 3\n",
     {"net.toml:1:8:", "train.epochs: expected an integer, found a table"}},
    {"key_for_table", "train = 3\n", {"net.toml:1:1:", "train is a table, found the integer 3", "[train]"}},
    {"tables_for_table", "[[train]]\nepochs = 3\n", {"net.toml:1:3:", "train is a table, found a list"}},
    // ranges
    {"zero_epochs", "[train]\nepochs = 0\n", {"net.toml:2:1: train.epochs = 0 is out of range: at least 1"}},
    {"negative_seed", "[run]\nseed = -1\n", {"net.toml:2:1:", "run.seed = -1", "at least 0"}},
    {"zero_batch", "[data]\nbatch = 0\n", {"net.toml:2:1:", "data.batch = 0", "at least 1"}},
    {"huge_batch", "[data]\nbatch = 1_000_000_000_000\n", {"net.toml:2:1:", "at most 16777216"}},
    {"zero_rate", "[optimizer]\nlearning_rate = 0.0\n", {"net.toml:2:1:", "above 0"}},
    {"infinite_rate", "[optimizer]\nlearning_rate = inf\n", {"net.toml:2:1:", "not finite"}},
    {"rate_not_a_number", "[optimizer]\nlearning_rate = nan\n", {"net.toml:2:1:", "not finite"}},
    {"momentum_of_one", "[optimizer]\nmomentum = 1\n", {"net.toml:2:1:", "at least 0 and below 1"}},
    {"dropout_of_one", "[model]\nkind = \"cnn\"\ndropout = 1.0\n", {"net.toml:3:1:", "below 1"}},
    {"zero_channels", "[model]\nkind = \"cnn\"\nchannels = [32, 0]\n", {"net.toml:3:1:", "at least 1"}},
    {"no_channels", "[model]\nkind = \"cnn\"\nchannels = []\n", {"net.toml:3:1:", "at least 1"}},
    {"keep_nothing", "[checkpoint]\nkeep = 0\n", {"net.toml:2:1:", "at least 1"}},
    {"virtual_ranks", "[parallel]\nvirtual_ranks = 6\n", {"net.toml:2:1:", "power of two"}},
    {"virtual_ranks_and_pieces",
     "[parallel]\nvirtual_ranks = 4\n[train]\nmicro_batches = 2\n",
     {"net.toml:2:1:", "micro_batches at 1"}},
    {"rdma_over_tcp",
     "[comm]\ntransport = \"tcp\"\nrequire_rdma = true\n",
     {"net.toml:3:1:", "cannot be kept"}},
    // choices
    {"unknown_optimizer",
     "[optimizer]\nkind = \"agd\"\n",
     {"net.toml:2:1:", "sgd, adam, adamw, rmsprop, adagrad, lamb, lars;", "did you mean \"sgd\"?"}},
    {"device_not_built",
     "[train]\ndevice = \"cuda\"\n",
     {"net.toml:2:1:", "train.device = \"cuda\"", "auto, cpu"}},
    {"precision_not_built",
     "[train]\nprecision = \"float8\"\n",
     {"net.toml:2:1:", "no choice here: float32, bfloat16, float16;", "did you mean \"float32\"?"}},
    {"mode_not_built",
     "[parallel]\nmode = \"federated\"\n",
     {"net.toml:2:1:", "allreduce, parameter_server"}},
    {"unknown_transport",
     "[comm]\ntransport = \"ib\"\n",
     {"net.toml:2:1:", "auto, rdma, tcp, shared_memory"}},
    {"empty_choice", "[schedule]\nkind = \"\"\n", {"net.toml:2:1:", "constant, step, cosine, one_cycle"}},
    // keys beside the wrong kind
    {"beta_with_sgd",
     "[optimizer]\nbeta1 = 0.9\n",
     {"net.toml:2:1:", "optimizer.beta1 is not read by kind = \"sgd\", only by adam, adamw, lamb;"}},
    {"channels_with_mlp", "[model]\nchannels = [3]\nkind = \"mlp\"\n", {"net.toml:2:1:", "only by cnn"}},
    {"layers_with_cnn",
     "[model]\nkind = \"cnn\"\n[[model.layer]]\nkind = \"relu\"\n",
     {"net.toml:3:", "[[model.layer]] is not read by model.kind = \"cnn\""}},
    {"resnet_stem_with_gpt",
     "[model]\nkind = \"gpt\"\nstem = \"cifar\"\n",
     {"net.toml:3:1:", "model.stem is not read by kind = \"gpt\", only by resnet;"}},
    {"smoothing_of_a_discriminator_of_adam",
     "[model]\nkind = \"gan\"\n[optimizer.discriminator]\nsmoothing = 0.9\n",
     {"net.toml:4:1: optimizer.discriminator.smoothing is not read by kind = \"adam\", only by rmsprop"}},
    // keys beside the wrong model
    {"discriminator_of_a_classifier",
     "[model]\nkind = \"cnn\"\n[optimizer.discriminator]\nkind = \"sgd\"\n",
     {"net.toml:4:1: [optimizer.discriminator] is not read by model.kind = \"cnn\", only by gan"}},
    {"discriminator_before_the_model",
     "[optimizer.discriminator]\nkind = \"sgd\"\n[model]\nkind = \"cnn\"\n",
     {"net.toml:2:1: [optimizer.discriminator] is not read by model.kind = \"cnn\""}},
    {"set_discriminator_of_a_classifier",
     "",
     {"--set optimizer.discriminator.kind=sgd: [optimizer.discriminator] is not read by model.kind = "
      "\"mlp\""},
     {"model.kind=mlp", "optimizer.discriminator.kind=sgd"}},
    {"sequence_of_images",
     "[data]\nsequence_length = 9\n",
     {"net.toml:2:1: data.sequence_length is not read by model.kind = \"mlp\", only by rnn, lstm, gpt, "
      "layers"}},
    // layers
    {"no_layers", "[model]\nkind = \"layers\"\n", {"net.toml:2:1:", "at least one [[model.layer]]"}},
    {"layer_without_kind",
     "[model]\nkind = \"layers\"\n[[model.layer]]\nunits = 3\n",
     {"net.toml:3:", "model.layer[0]", "`kind` is missing"}},
    {"linear_without_units",
     "[model]\nkind = \"layers\"\n[[model.layer]]\nkind = \"linear\"\n",
     {"net.toml:3:", "model.layer[0] (linear): the key `units` is missing"}},
    {"pool_without_kernel",
     "[model]\nkind = \"layers\"\n[[model.layer]]\nkind = \"relu\"\n[[model.layer]]\nkind = \"max_pool\"\n",
     {"net.toml:5:", "model.layer[1] (max_pool): the key `kernel` is missing"}},
    {"unknown_layer",
     "[model]\nkind = \"layers\"\n[[model.layer]]\nkind = \"conv\"\n",
     {"net.toml:4:1: model.layer[0].kind = \"conv\" is no choice"}},
    {"units_of_relu",
     "[model]\nkind = \"layers\"\n[[model.layer]]\nkind = \"relu\"\nunits = 3\n",
     {"net.toml:5:1: model.layer[0].units is not read by kind = \"relu\", only by linear"}},
    {"unknown_layer_key",
     "[model]\nkind = \"layers\"\n[[model.layer]]\nkind = \"linear\"\nunits = 3\nunist = 3\n",
     {"net.toml:6:1: unknown key `unist` in model.layer[0]; did you mean `units`?"}},
    {"layers_are_no_table",
     "[model]\nkind = \"layers\"\n[model.layer]\nkind = \"relu\"\n",
     {"net.toml:3:", "[[model.layer]]"}},
    {"layers_are_texts",
     "[model]\nkind = \"layers\"\nlayer = [\"relu\"]\n",
     {"net.toml:3:", "model.layer[0] is a table, found the text \"relu\""}},
    {"much_pool_padding",
     "[model]\nkind = \"layers\"\n[[model.layer]]\nkind = \"max_pool\"\nkernel = 2\npadding = 2\n",
     {"net.toml:6:1:", "more than half of kernel = 2"}},
    {"much_padding",
     "[model]\nkind = \"layers\"\n[[model.layer]]\nkind = \"convolution\"\nchannels = 2\nkernel = 3\npadding "
     "= 3\n",
     {"net.toml:7:1:", "must be less than kernel = 3"}},
    // groups
    {"group_without_parameters",
     "[[optimizer.group]]\nweight_decay = 0\n",
     {"net.toml:1:", "optimizer.group[0]: the key `parameters` is missing (list of texts)"}},
    {"group_of_no_parameters",
     "[[optimizer.group]]\nparameters = []\n",
     {"net.toml:2:1:", "needs at least 1"}},
    {"group_with_kind",
     "[[optimizer.group]]\nparameters = [\"a\"]\nkind = \"sgd\"\n",
     {"net.toml:3:1: unknown key `kind` in optimizer.group[0]",
      "it takes parameters, learning_rate_factor, weight_decay"}},
    {"group_is_no_list", "[optimizer.group]\nparameters = [\"a\"]\n", {"net.toml:1:", "[[optimizer.group]]"}},
    {"half_negative_decay",
     "[[optimizer.group]]\nparameters = [\"a\"]\nweight_decay = -0.5\n",
     {"net.toml:2:1: optimizer.group[0]: weight_decay = -0.5", "-1 for what it is without the group"}},
    {"discriminator_group_of_a_classifier",
     "[[optimizer.discriminator.group]]\nparameters = [\"a\"]\n",
     {"net.toml:1:", "[optimizer.discriminator] is not read by model.kind = \"mlp\""}},
    // rules between keys
    {"name_with_slash", "[run]\nname = \"a/b\"\n", {"net.toml:2:1:", "cannot name a directory"}},
    {"name_of_dots", "[run]\nname = \"..\"\n", {"net.toml:2:1:", "cannot name a directory"}},
    {"empty_name", "[run]\nname = \"\"\n", {"net.toml:2:1:", "cannot name a directory"}},
    {"zero_byte", "[data]\ntrain = \"a\\u0000b\"\n", {"net.toml:2:1:", "zero byte"}},
    {"nesterov_alone",
     "[optimizer]\nmomentum = 0\nnesterov = true\n",
     {"net.toml:3:1:", "needs optimizer.momentum above 0"}},
    {"nesterov_alone_in_the_discriminator",
     "[model]\nkind = \"gan\"\n[optimizer.discriminator]\nkind = \"sgd\"\nmomentum = 0\nnesterov = true\n",
     {"net.toml:6:1: optimizer.discriminator.nesterov needs optimizer.discriminator.momentum above 0"}},
    {"split_of_two_files",
     "[data]\nvalidation = \"v.h5\"\nvalidation_fraction = 0.1\n",
     {"net.toml:3:1: data.validation_fraction", "exclude each other"}},
    {"step_without_epochs",
     "[schedule]\nkind = \"step\"\n",
     {"net.toml:2:1:", "step_epochs or schedule.step_every_epochs"}},
    {"step_twice",
     "[schedule]\nkind = \"step\"\nstep_epochs = [1]\nstep_every_epochs = 2\n",
     {"net.toml:4:1:", "exclude each other"}},
    {"falling_epochs", "[schedule]\nkind = \"step\"\nstep_epochs = [3, 2]\n", {"net.toml:3:1:", "must rise"}},
    // overrides
    {"set_unknown_key",
     "",
     {"--set train.epoch=3: unknown key train.epoch", "did you mean train.epochs?"},
     {"train.epoch=3"}},
    {"set_unknown_table",
     "",
     {"--set trian.epochs=3: unknown table [trian]", "did you mean [train]?"},
     {"trian.epochs=3"}},
    {"set_wrong_type",
     "[train]\nepochs = 2\n",
     {"--set train.epochs=many: train.epochs: expected an integer, found the text \"many\""},
     {"train.epochs=many"}},
    {"set_out_of_range", "", {"--set train.epochs=0:", "at least 1"}, {"train.epochs=0"}},
    {"set_without_value", "", {"--set train.epochs: expected table.key=value"}, {"train.epochs"}},
    {"set_nothing", "", {"--set : expected table.key=value"}, {""}},
    {"set_without_key", "", {"--set =3: expected table.key=value"}, {"=3"}},
    {"set_bad_path", "", {"--set train..epochs=3: expected table.key=value"}, {"train..epochs=3"}},
    {"set_bad_index",
     "",
     {"--set model.layer[x].rate=3: expected table.key=value"},
     {"model.layer[x].rate=3"}},
    {"set_half_list", "", {"--set model.hidden=[3: the value is not valid TOML"}, {"model.hidden=[3"}},
    {"set_table",
     "",
     {"--set optimizer={kind=\"sgd\"}: a table cannot be set as a whole"},
     {"optimizer={kind=\"sgd\"}"}},
    {"set_over_table",
     "[train]\nepochs = 2\n",
     {"--set train=3: train is a table", "train.epochs"},
     {"train=3"}},
    {"set_below_key",
     "[train]\nepochs = 2\n",
     {"--set train.epochs.x=3: train.epochs is the integer 2, not a table"},
     {"train.epochs.x=3"}},
    {"set_missing_layer",
     "[model]\nkind = \"layers\"\n[[model.layer]]\nkind = \"relu\"\n",
     {"--set model.layer[1].rate=0.5: model.layer has 1 entries"},
     {"model.layer[1].rate=0.5"}},
    {"set_layer_of_no_list",
     "",
     {"--set model.layer[0].rate=0.5: model.layer is no list"},
     {"model.layer[0].rate=0.5"}},
    {"set_key_of_other_kind",
     "",
     {"--set optimizer.beta1=0.5: optimizer.beta1 is not read by kind = \"sgd\""},
     {"optimizer.beta1=0.5"}},
    {"set_second_line",
     "",
     {"--set train.epochs=3: what follows is a line break"},
     {"train.epochs=3\nsteps=4"}},
};

// Behind a header that chooses the mode.
BadConfig served(const std::string& name, const std::string& text, std::vector<std::string> parts) {
  return {name, "[parallel]\nmode = \"parameter_server\"\n" + text, std::move(parts)};
}

const std::vector<BadConfig> served_cases{
    served("virtual_ranks", "virtual_ranks = 4\n",
           {"net.toml:3:1:", "parallel.virtual_ranks", "staleness = 0"}),
    served("sharded", "[parallel.allreduce]\nshard_optimizer = true\n", {"net.toml:4:1:", "leave it away"}),
    served("rollback", "[train]\non_nan = \"rollback\"\n", {"net.toml:4:1:", "set it to \"stop\""}),
    served("average", "[optimizer]\nema_decay = 0.9\n", {"net.toml:4:1:", "optimizer.ema_decay"}),
    served("average_of_the_discriminator",
           "[model]\nkind = \"gan\"\n[optimizer.discriminator]\nema_decay = 0.9\n",
           {"net.toml:6:1:", "optimizer.discriminator.ema_decay"}),
    served("replica_of_one", "[parallel.parameter_server]\nreplicas = 2\n",
           {"net.toml:4:1:", "raise servers to 2"}),
    served("many_pieces", "[data]\nbatch = 4\n[parallel.parameter_server]\npieces = 5\n",
           {"net.toml:6:1:", "pieces = 5 is more than data.batch = 4"}),
    served("top_k_elastic", "[parallel.parameter_server]\nmode = \"easgd\"\nencoding = \"top_k\"\n",
           {"net.toml:5:1:", "does not go with mode = \"easgd\""}),
    served("top_k_corrected", "[parallel.parameter_server]\nmode = \"dcasgd\"\nencoding = \"top_k\"\n",
           {"net.toml:5:1:", "does not go with mode = \"dcasgd\""}),
    served("bfloat16_corrected", "[parallel.parameter_server]\nmode = \"dcasgd\"\nencoding = \"bfloat16\"\n",
           {"net.toml:5:1:", "choose \"float32\""}),
    served("synchronous_scale",
           "[parallel.parameter_server]\nmode = \"ssp\"\nstaleness = 0\nscale_by_staleness = true\n",
           {"net.toml:6:1:", "staleness = 0"}),
    served(
        "staleness_without_bound", "[parallel.parameter_server]\nstaleness = 2\nmode = \"async\"\n",
        {"net.toml:4:1: parallel.parameter_server.staleness is not read by mode = \"async\", only by ssp;"}),
    served("no_server", "[parallel.parameter_server]\nservers = 0\n",
           {"net.toml:4:1:", "parallel.parameter_server.servers = 0 is out of range: at least 1"}),
    served("unknown_servers", "[parallel.parameter_server]\nservers = \"per_mode\"\n",
           {"net.toml:4:1:", "per_node, colocated", "did you mean \"per_node\"?"}),
    served(
        "half_a_server", "[parallel.parameter_server]\nservers = 0.5\n",
        {"net.toml:4:1:", "expected an integer or one of \"per_node\", \"colocated\", found the number 0.5"}),
    served("three_replicas", "[parallel.parameter_server]\nservers = 4\nreplicas = 3\n",
           {"net.toml:5:1:", "at most 2"}),
    served("negative_staleness", "[parallel.parameter_server]\nstaleness = -1\n",
           {"net.toml:4:1:", "at least 0"}),
};

INSTANTIATE_TEST_SUITE_P(Served, BadConfigs, testing::ValuesIn(served_cases),
                         [](const auto& instance) { return instance.param.name; });

INSTANTIATE_TEST_SUITE_P(All, BadConfigs, testing::ValuesIn(cases),
                         [](const auto& instance) { return instance.param.name; });

std::string message_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no ConfigError";
}

TEST(ConfigFiles, AMissingConfigIsABadConfig) {
  EXPECT_THAT(message_of([] { load_config("/nowhere/net.toml"); }),
              testing::AllOf(StartsWith("/nowhere/net.toml:"), HasSubstr("cannot be read")));
}

TEST(ConfigFiles, ADirectoryIsNoConfig) {
  EXPECT_THAT(message_of([] { load_config(TRIREME_SOURCE_DIR); }), HasSubstr("this is a directory"));
}

TEST(ConfigFiles, AMissingDataFileIsToldAtItsKey) {
  Config config = parse_config("[data]\ntrain = \"nowhere/train.h5\"\n", "net.toml");
  EXPECT_THAT(
      message_of([&] { check_files_exist(config); }),
      testing::AllOf(StartsWith("net.toml:2:1: data.train = \"nowhere/train.h5\": there is no such file"),
                     HasSubstr("current directory")));
  config = parse_config("", "net.toml", {"data.validation=/nowhere/v.h5"});
  EXPECT_THAT(message_of([&] { check_files_exist(config); }),
              StartsWith("--set data.validation=/nowhere/v.h5: data.validation = \"/nowhere/v.h5\""));
  config.data.validation = TRIREME_SOURCE_DIR;
  EXPECT_THAT(message_of([&] { check_files_exist(config); }), HasSubstr("it is a directory"));
  config.data.validation = TRIREME_SOURCE_DIR "/CMakeLists.txt";
  EXPECT_NO_THROW(check_files_exist(config));
}

TEST(ConfigFiles, TrainingNeedsTrainingData) {
  Config config = parse_config("[run]\nseed = 3\n", "net.toml");
  EXPECT_THAT(message_of([&] { require_training_keys(config); }),
              testing::AllOf(StartsWith("net.toml:"), HasSubstr("data.train is missing")));
  config.data.train = "x.h5";
  EXPECT_NO_THROW(require_training_keys(config));
}

}  // namespace
}  // namespace trireme
