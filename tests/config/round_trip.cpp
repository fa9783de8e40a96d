// dump and parse are inverse to each other, for any config that the declarations allow.
#include <gtest/gtest.h>
#include <bit>

#include <cmath>
#include <limits>

#include "base/rng.h"
#include "config/config.h"
#include "config/keys.h"

namespace trireme {
namespace {

// Draws a value that the key's rule allows.
class RandomValue {
 public:
  RandomValue(const KeyRule& rule, RandomStream& draws) : rule_(rule), draws_(draws) {}

  void operator()(bool* value) const { *value = draws_.below(2) == 1; }
  void operator()(int64_t* value) const { *value = integer(); }
  void operator()(double* value) const {
    double low = std::max(rule_.at_least, rule_.above);
    double high = std::min(rule_.at_most, rule_.below);
    ASSERT_TRUE(std::isfinite(low));
    // Values far apart in size, with all their bits.
    double scale = std::pow(10.0, static_cast<int>(draws_.below(24)) - 12);
    double part = (draws_.next() + 0.5) / 4294967296.0 + draws_.next() * 0x1p-60;
    *value = std::isfinite(high) ? low + (high - low) * std::min(0.999, part * std::min(scale, 1.0))
                                 : low + part * scale;
    if (!(*value > rule_.above)) *value = high;
    if (draws_.below(8) == 0 && std::isfinite(rule_.at_least)) *value = rule_.at_least;
  }
  void operator()(std::vector<std::string>* value) const {
    value->clear();
    for (size_t n = rule_.items_at_least + draws_.below(4); n > 0; --n) (*this)(&value->emplace_back());
  }
  void operator()(std::string* value) const {
    if (!rule_.choices.empty()) {
      *value = rule_.choices[draws_.below(static_cast<uint32_t>(rule_.choices.size()))];
      return;
    }
    const std::vector<std::string> pieces{"a",    "\"", "\\", "'", "\n", "\t", "\x01",
                                          "\x7f", " ",  "#",  "=", "é",  "漢", "\r"};
    value->clear();
    for (uint32_t n = draws_.below(12); n > 0; --n)
      *value += pieces[draws_.below(static_cast<uint32_t>(pieces.size()))];
  }
  void operator()(CountOrName* value) const {
    if (draws_.below(2) == 0) {
      value->count = integer();
    } else {
      (*this)(&value->name);
    }
  }
  void operator()(std::vector<int64_t>* value) const {
    value->clear();
    for (size_t n = rule_.items_at_least + draws_.below(4); n > 0; --n) value->push_back(integer());
  }

 private:
  int64_t integer() const {
    int64_t low = static_cast<int64_t>(rule_.at_least);
    double room = std::isfinite(rule_.at_most) ? rule_.at_most - rule_.at_least : 0x1p62;
    uint64_t word = (uint64_t{draws_.next()} << 32) | draws_.next();
    return low + static_cast<int64_t>(word % (static_cast<uint64_t>(room) + 1));
  }
  const KeyRule& rule_;
  RandomStream& draws_;
};

void fill(KeyTable table, RandomStream& draws) {
  for (const Key& key : table.keys) {  // kind comes first, so that reads() holds for the rest
    if (table.reads(key)) std::visit(RandomValue(key.rule, draws), key.slot);
  }
}

// What rules.cpp asks for.
void fit_parameter_server(Config& config) {
  config.parallel.virtual_ranks = 0;
  config.allreduce.shard_optimizer = false;
  config.train.on_nan = "stop";
  config.optimizer.ema_decay = config.discriminator_optimizer.ema_decay = 0;
  ParameterServerConfig& server = config.parameter_server;
  if (server.servers == CountOrName{1}) server.replicas = 1;
  server.pieces = std::min(server.pieces, config.data.batch);
  if (server.mode == "easgd" || server.mode == "dcasgd") server.encoding = "float32";
  if (server.mode == "ssp" && server.staleness == 0) server.scale_by_staleness = false;
}

Config random_config(uint64_t number) {
  RandomStream draws(7, Purpose::test, number);
  Config config;
  for (const KeyTable& table : tables_of(config)) {  // its kind decides what other tables are read
    if (table.name == "model") fill(table, draws);
  }
  for (const KeyTable& table : tables_of(config)) {
    if (table.name != "model") fill(table, draws);
  }
  for (uint32_t n = config.model.kind == "layers" ? 1 + draws.below(5) : 0; n > 0; --n) {
    LayerConfig& layer = config.model.layer.emplace_back();
    fill(table_of(layer), draws);
    if (layer.kernel > 0) {  // what rules.cpp asks for
      layer.padding %= layer.kernel / 2 + (layer.kernel == 1 ? 1 : 0);
      layer.stride = std::max<int64_t>(layer.stride, 1);
    }
  }
  config.run.name = "run" + std::to_string(number);
  for (OptimizerConfig* optimizer : {&config.optimizer, &config.discriminator_optimizer}) {
    bool read = optimizer == &config.optimizer || config.model.kind == "gan";
    for (uint32_t n = read ? draws.below(3) : 0; n > 0; --n) {
      OptimizerGroupConfig& group = optimizer->group.emplace_back();
      fill(table_of(group), draws);
      if (group.weight_decay < 0) group.weight_decay = -1;  // what rules.cpp asks for
    }
    if (optimizer->momentum == 0) optimizer->nesterov = false;
  }
  config.parallel.virtual_ranks =
      static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(config.parallel.virtual_ranks)));
  if (config.parallel.virtual_ranks > 0) config.train.micro_batches = 1;
  if (config.parallel.mode == "parameter_server") fit_parameter_server(config);
  if (config.comm.transport != "rdma") config.comm.require_rdma = false;
  if (number % 2 == 0) {  // they exclude each other
    config.data.validation.clear();
  } else {
    config.data.validation_fraction = 0;
  }
  if (config.data.validation.empty() && config.data.validation_fraction == 0) config.checkpoint.keep_best = 0;
  if (config.schedule.kind == "step") {
    if (number % 2 == 0) {
      config.schedule.step_epochs = {2, 3, 1000};
      config.schedule.step_every_epochs = 0;
    } else {
      config.schedule.step_epochs.clear();
      config.schedule.step_every_epochs += 1;
    }
  }
  return config;
}

TEST(RoundTrip, AnyConfigComesBackAsItWas) {
  for (uint64_t number = 0; number < 300; ++number) {
    Config config = random_config(number);
    std::string text = dump_config(config);
    SCOPED_TRACE(text);
    Config back = parse_config(text, "dump");
    ASSERT_EQ(back, config);
    ASSERT_EQ(dump_config(back), text);
  }
}

TEST(RoundTrip, LeavesOutWhatTheModelDoesNotRead) {
  Config config;
  std::string text = dump_config(config);
  EXPECT_EQ(text.find("discriminator"), std::string::npos);
  EXPECT_EQ(text.find("sequence_length"), std::string::npos);
  config.model.kind = "gan";
  EXPECT_NE(dump_config(config).find("[optimizer.discriminator]"), std::string::npos);
  config.model.kind = "gpt";
  EXPECT_NE(dump_config(config).find("sequence_length"), std::string::npos);
}

TEST(RoundTrip, TheDefaultsAreTheStructs) {
  EXPECT_EQ(parse_config("", "empty"), Config{});
  EXPECT_EQ(parse_config(dump_config(Config{}), "dump"), Config{});
}

TEST(RoundTrip, NumbersKeepEveryBit) {
  Config config;
  for (double rate :
       {0.1, 1.0 / 3.0, 1e-8, 5e-324, std::numeric_limits<double>::max(), 3.0, 1e22, 0.1 + 0.2}) {
    config.optimizer.learning_rate = rate;
    EXPECT_EQ(parse_config(dump_config(config), "dump").optimizer.learning_rate, rate);
  }
}

TEST(RoundTrip, AnIntegerIsANumber) {
  EXPECT_EQ(parse_config("[optimizer]\nlearning_rate = 1\n", "x").optimizer.learning_rate, 1.0);
}

TEST(RoundTrip, ServersAreANumberOrAName) {
  std::string table = "[parallel]\nmode = \"parameter_server\"\n[parallel.parameter_server]\n";
  EXPECT_EQ(parse_config(table + "servers = 3\n", "x").parameter_server.servers, CountOrName{3});
  EXPECT_EQ(parse_config(table + "servers = \"per_node\"\n", "x").parameter_server.servers.name, "per_node");
  EXPECT_EQ(
      parse_config(table, "x", {"parallel.parameter_server.servers=colocated"}).parameter_server.servers.name,
      "colocated");
  EXPECT_EQ(parse_config(table + "servers = \"per_node\"\n", "x", {"parallel.parameter_server.servers=2"})
                .parameter_server.servers,
            CountOrName{2});
}

TEST(RoundTrip, AServersModeMayBeOverridden) {
  std::string text = "[parallel]\nmode = \"parameter_server\"\n[parallel.parameter_server]\nstaleness = 2\n";
  Config config = parse_config(text, "x", {"parallel.parameter_server.mode=async"});
  EXPECT_EQ(config.parameter_server.mode, "async");
  EXPECT_EQ(dump_config(config).find("\nstaleness = "), std::string::npos);
}

TEST(RoundTrip, StridesAreResolved) {
  Config config = parse_config(
      "[model]\nkind = \"layers\"\n[[model.layer]]\nkind = \"convolution\"\nchannels = 2\nkernel = 3\n"
      "[[model.layer]]\nkind = \"max_pool\"\nkernel = 3\n[[model.layer]]\nkind = \"max_pool\"\nkernel = "
      "3\nstride = 2\n",
      "x");
  ASSERT_EQ(config.model.layer.size(), 3u);
  EXPECT_EQ(config.model.layer[0].stride, 1);
  EXPECT_EQ(config.model.layer[1].stride, 3);
  EXPECT_EQ(config.model.layer[2].stride, 2);
}

TEST(RoundTrip, GroupsAreReadInOrder) {
  Config config = parse_config(
      "[model]\nkind = \"gan\"\n[optimizer]\nkind = \"adam\"\n[[optimizer.group]]\nparameters = [\"a.*\", "
      "\"b\"]\n"
      "weight_decay = 0\n[[optimizer.group]]\nparameters = [\"*\"]\nlearning_rate_factor = 0.5\n"
      "[[optimizer.discriminator.group]]\nparameters = [\"c\"]\n",
      "x.toml", {"optimizer.group[1].weight_decay=0.25"});
  ASSERT_EQ(config.optimizer.group.size(), 2u);
  EXPECT_EQ(config.optimizer.group[0].parameters, (std::vector<std::string>{"a.*", "b"}));
  EXPECT_EQ(config.optimizer.group[0].weight_decay, 0.0);
  EXPECT_EQ(config.optimizer.group[0].learning_rate_factor, 1.0);
  EXPECT_EQ(config.optimizer.group[0].place.text, "x.toml:6:1: optimizer.group[0]");
  EXPECT_EQ(config.optimizer.group[1].weight_decay, 0.25);
  EXPECT_EQ(config.optimizer.group[1].learning_rate_factor, 0.5);
  ASSERT_EQ(config.discriminator_optimizer.group.size(), 1u);
  EXPECT_EQ(config.discriminator_optimizer.group[0].weight_decay, -1.0);
}

TEST(RoundTrip, EveryKeyHasItsPlace) {
  Config config =
      parse_config("[run]\nseed = 3\n[model]\nkind = \"layers\"\n  [[model.layer]]\n  kind = \"relu\"\n",
                   "x.toml", {"train.epochs=7"});
  EXPECT_EQ(config.where("run.seed"), "x.toml:2:1");
  EXPECT_EQ(config.where("model.layer[0].kind"), "x.toml:6:3");
  EXPECT_EQ(config.where("train.epochs"), "--set train.epochs=7");
  EXPECT_EQ(config.where("train.steps"), "x.toml");
}

}  // namespace
}  // namespace trireme
