// Keys of [parallel.parameter_server].
#include "config/key_tables.h"

namespace trireme {

KeyTable parameter_server_table(ParameterServerConfig& c) {
  return {
      .name = "parallel.parameter_server",
      .doc = "for mode parameter_server: when updates are applied, who serves, and what travels",
      .keys =
          {
              {"mode",
               &c.mode,
               {.doc =
                    "Which consistency parameters have. async: every push is applied as it comes, nobody "
                    "waits (Dean et al., 2012). ssp: stale synchronous parallel: the same, but no worker "
                    "gets "
                    "further ahead of the slowest than staleness (Ho et al., 2013). easgd: workers train by "
                    "themselves and are tied to a centre by an elastic force (Zhang, Choromanska and LeCun, "
                    "2015). dcasgd: async, with gradients corrected to first order for what the parameters "
                    "have moved by since they were pulled (Zheng et al., 2017).",
                .choices = {"async", "ssp", "easgd", "dcasgd"}}},
              {"servers",
               &c.servers,
               {.doc = "How many of the first ranks are servers, which do not train. per_node: the first "
                       "rank of "
                       "each node. colocated: every rank is both server and worker.",
                .choices = {"per_node", "colocated"},
                .at_least = 1,
                .at_most = 65536}},
              {"staleness",
               &c.staleness,
               {.doc = "Clocks (steps of the global batch) that a worker may be ahead of the slowest. 0: "
                       "none, bulk "
                       "synchronous: gradients of a step are added in a fixed order and applied at once, as "
                       "allreduce does it.",
                .kinds = {"ssp"},
                .at_least = 0,
                .at_most = 1e9}},
              {"pieces",
               &c.pieces,
               {.doc = "Pieces that each global batch is cut into, which workers take one after another, "
                       "slow ones "
                       "fewer; 0: as many as there are workers at the start.",
                .at_least = 0,
                .at_most = 65536}},
              {"replicas",
               &c.replicas,
               {.doc =
                    "Servers that hold each shard of the parameters. 2: when one dies, another goes on, and "
                    "no acknowledged update is lost. 1: the run stops with exit code 75 and resumes from its "
                    "checkpoint.",
                .at_least = 1,
                .at_most = 2}},
              {"threads",
               &c.threads,
               {.doc = "Threads of each server that apply updates, each its own blocks; 0: as many as it has "
                       "cores "
                       "to itself.",
                .at_least = 0,
                .at_most = 4096}},
              {"encoding",
               &c.encoding,
               {.doc = "How pushes travel. bfloat16: half the bytes. top_k: only the largest entries. What "
                       "either "
                       "leaves out is kept and added to the next push (error feedback: Seide et al., 2014; "
                       "Stich et "
                       "al., 2018). easgd takes no top_k, dcasgd float32 alone.",
                .choices = {"float32", "bfloat16", "top_k"}}},
              {"top_k_fraction",
               &c.top_k_fraction,
               {.doc = "encoding top_k: which part of a shard's entries a push carries.",
                .above = 0,
                .at_most = 1}},
              {"easgd_moving_rate",
               &c.easgd_moving_rate,
               {.doc =
                    "The elastic force, alpha: the part of its distance to the centre that a worker and the "
                    "centre move towards each other at an exchange; 0: 0.9 / workers.",
                .kinds = {"easgd"},
                .at_least = 0,
                .below = 1}},
              {"easgd_period",
               &c.easgd_period,
               {.doc =
                    "The communication period, tau: steps that a worker does by itself between two "
                    "exchanges. "
                    "Its optimizer's state stays with it: it is in no checkpoint and begins at zero after a "
                    "resume.",
                .kinds = {"easgd"},
                .at_least = 1,
                .at_most = 1e9}},
              {"dcasgd_lambda",
               &c.dcasgd_lambda,
               {.doc = "Weight of the correction: the gradient g, a mean over its piece, becomes g + lambda "
                       "* g * g "
                       "* (parameters now - parameters pulled).",
                .kinds = {"dcasgd"},
                .at_least = 0}},
              {"scale_by_staleness",
               &c.scale_by_staleness,
               {.doc = "Divide the learning rate of a push by its staleness in clocks, the updates that its "
                       "pull "
                       "lacked divided by the pieces, where that is above 1 (Zhang et al., 2016, "
                       "staleness-aware "
                       "async-SGD).",
                .kinds = {"async", "ssp", "dcasgd"}}},
              {"backup_pieces",
               &c.backup_pieces,
               {.doc = "Give a piece that takes more than twice the usual time to a second worker where that "
                       "has "
                       "nothing else to do; the first result counts (Chen et al., 2016, backup workers)."}},
              {"lease_seconds",
               &c.lease_seconds,
               {.doc = "A worker that has not been heard of for so long is taken for dead: its pieces go to "
                       "others, "
                       "what it still pushes is refused, and it may join anew.",
                .above = 0,
                .at_most = 86400}},
              {"port",
               &c.port,
               {.doc = "The TCP port on which servers are reached first; 0: any that is free. Servers of one "
                       "node "
                       "need 0.",
                .at_least = 0,
                .at_most = 65535}},
          },
      .selector = "mode",
  };
}

}  // namespace trireme
