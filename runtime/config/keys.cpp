// Keys of the small tables, and the list of all tables.
#include "config/key_tables.h"

namespace trireme {

KeyTable run_table(RunConfig& c) {
  return {"run",
          "what the run is called",
          {
              {"name",
               &c.name,
               {.doc = "Name of the run and of its directory, runs/<name>, unless --run-dir says otherwise. "
                       "Letters, digits, '.', '_' and '-'."}},
              {"seed",
               &c.seed,
               {.doc = "Seed of every random draw: initial weights, order of samples, augmentation, dropout. "
                       "The same "
                       "config, seed and number of ranks give the same parameters, bit for bit.",
                .at_least = 0}},
          }};
}

KeyTable parallel_table(ParallelConfig& c) {
  return {"parallel",
          "how ranks share what they learn",
          {
              {"mode",
               &c.mode,
               {.doc = "allreduce: every rank holds the whole model, and gradients are averaged over the "
                       "global batch in "
                       "each step. parameter_server: servers hold the parameters and the optimizer's state; "
                       "workers fetch them and push gradients, each at a speed of its own, and may die and "
                       "come while the run goes on: for stragglers, mixed hardware and nodes that are lost.",
                .choices = {"allreduce", "parameter_server"}}},
              {"virtual_ranks",
               &c.virtual_ranks,
               {.doc = "Cut the global batch into this many shards, a power of two, whose gradients are "
                       "summed over a "
                       "fixed tree: 1, 2, 4, ... as many ranks end with the same parameters, bit for bit, "
                       "and a run may "
                       "change its number of ranks when it is resumed. Holds for one executable, one kind of "
                       "processor and one train.threads (0 means 1 here). A rank computes its shards one "
                       "after another: the fewest that will do, best the most ranks that the run will have. "
                       "0: one shard a rank, sums rounded accordingly.",
                .at_least = 0,
                .at_most = 65536}},
          }};
}

KeyTable allreduce_table(AllReduceConfig& c) {
  return {
      "parallel.allreduce",
      "for mode allreduce",
      {
          {"shard_optimizer",
           &c.shard_optimizer,
           {.doc =
                "Each rank keeps the optimizer's state of its part of the parameters alone and updates only "
                "that "
                "(ZeRO, stage 1: Rajbhandari et al., 2020): state memory falls by the number of ranks, the "
                "results are the same bits."}},
      }};
}

KeyTable checkpoint_table(CheckpointConfig& c) {
  return {
      "checkpoint",
      "when the state is saved, in <run directory>/checkpoints",
      {
          {"every_steps",
           &c.every_steps,
           {.doc = "Save after every so many steps too; 0 for the ends of epochs and the end of the run "
                   "only. Training "
                   "stands still for one copy of the state; a save that falls due while the one before is "
                   "still being "
                   "written waits for it.",
            .at_least = 0}},
          {"keep",
           &c.keep,
           {.doc = "How many of the newest checkpoints are kept.", .at_least = 1, .at_most = 1e6}},
          {"keep_every",
           &c.keep_every,
           {.doc = "Checkpoints of steps that are multiples of this are never deleted; 0 for none.",
            .at_least = 0}},
          {"keep_best",
           &c.keep_best,
           {.doc = "How many of the best checkpoints by checkpoint.metric are kept, beside the newest; it "
                   "looks at "
                   "those that follow a validation of their own step.",
            .at_least = 0,
            .at_most = 1e6}},
          {"metric",
           &c.metric,
           {.doc = "By which figure of the validation keep_best judges: the lowest loss or perplexity, the "
                   "highest "
                   "accuracy.",
            .choices = {"loss", "accuracy", "perplexity"}}},
          {"before_end_seconds",
           &c.before_end_seconds,
           {.doc = "So long before SLURM ends the job, the run saves its state and stops with exit code 75; "
                   "0 for "
                   "not looking at the job's end.",
            .at_least = 0,
            .at_most = 86400}},
          {"restarts",
           &c.restarts,
           {.doc =
                "How many times in a row SLURM or scripts/train.sbatch may start a job again without a newer "
                "checkpoint than before, until the run gives up. A sweep: without a trial getting further.",
            .at_least = 0,
            .at_most = 1000}},
      }};
}

KeyTable comm_table(CommConfig& c) {
  return {
      "comm",
      "how ranks talk to each other",
      {
          {"transport",
           &c.transport,
           {.doc = "What MPI's messages go over. auto: RDMA where there is an active port and software for "
                   "it, else what Open MPI chooses. rdma: InfiniBand, RoCE, Omni-Path, EFA or Slingshot "
                   "between nodes, and nothing else. tcp: sockets between nodes, whatever else there is. "
                   "shared_memory: one node only. All but auto are refused (exit code 78) where the "
                   "machine cannot give them or the environment (OMPI_MCA_*, UCX_*) says otherwise. "
                   "What was really selected is told at start.",
            .choices = {"auto", "rdma", "tcp", "shared_memory"}}},
          {"require_rdma",
           &c.require_rdma,
           {.doc = "Refuse to run on a machine whose messages cannot go over RDMA, or do not, and say what "
                   "is missing. Holds for one node and one rank too."}},
          {"backend",
           &c.backend,
           {.doc = "Who shares gradients. auto: shared_memory on one node, hierarchical on several, mpi "
                   "where there is "
                   "one rank a node. mpi: messages throughout. shared_memory: ranks of one node add up "
                   "each other's "
                   "memory in place. hierarchical: shared memory inside nodes, messages between them.",
            .choices = {"auto", "mpi", "shared_memory", "hierarchical"}}},
          {"leaders",
           &c.leaders,
           {.doc = "Ranks of each node that talk to other nodes, each about a part of the gradients; 0: "
                   "as many as "
                   "the fabric has ports.",
            .at_least = 0,
            .at_most = 1024}},
          {"bucket_bytes",
           &c.bucket_bytes,
           {.doc = "Gradients travel in pieces of about this size, each as soon as it is ready, while the "
                   "rest is still being computed. Where that overlaps, a small net's are smaller.",
            .at_least = 1024}},
          {"overlap",
           &c.overlap,
           {.doc = "Exchange gradients in a thread of its own while the rest is still being computed. "
                   "auto: where every rank has a core to spare for it, which a train.threads below the "
                   "number of its cores leaves.",
            .choices = {"auto", "on", "off"}}},
          {"timeout_seconds",
           &c.timeout_seconds,
           {.doc = "When a rank has waited this long for others, or nobody has heard of a rank this "
                   "long, the job "
                   "ends and says who is missing where; 0 for no such watch. Others wait while a checkpoint "
                   "is written or data is loaded, so it must exceed the longest of these.",
            .at_least = 0,
            .at_most = 1e6}},
      }};
}

std::vector<KeyTable> tables_of(Config& c) {
  std::vector<KeyTable> tables{
      run_table(c.run),
      data_table(c.data),
      transform_table(c.data.transform),
      model_table(c.model),
      train_table(c.train),
      optimizer_table(c.optimizer, "optimizer", "how parameters follow their gradients"),
      optimizer_table(c.discriminator_optimizer, "optimizer.discriminator",
                      "the same for the discriminator of a gan, whose generator [optimizer] moves"),
      schedule_table(c.schedule),
      parallel_table(c.parallel),
      allreduce_table(c.allreduce),
      parameter_server_table(c.parameter_server),
      checkpoint_table(c.checkpoint),
      comm_table(c.comm)};
  for (KeyTable& table : tables) {
    table.model_kind = &c.model.kind;
    if (table.name == "optimizer.discriminator") table.models = {"gan"};
  }
  return tables;
}

}  // namespace trireme
