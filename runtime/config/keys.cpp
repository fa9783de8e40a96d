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
                       "each step.",
                .choices = {"allreduce"}}},
              {"virtual_ranks",
               &c.virtual_ranks,
               {.doc = "Train as this many ranks would, whatever their number; 0 for as many as there are.",
                .at_least = 0,
                .at_most = 0,
                .remark = "virtual ranks are not built yet"}},
          }};
}

KeyTable checkpoint_table(CheckpointConfig& c) {
  return {
      "checkpoint",
      "when the state is saved, in <run directory>/checkpoints",
      {
          {"every_steps",
           &c.every_steps,
           {.doc =
                "Save after every so many steps too; 0 for the ends of epochs and the end of the run only.",
            .at_least = 0}},
          {"keep",
           &c.keep,
           {.doc = "How many of the newest checkpoints are kept.", .at_least = 1, .at_most = 1e6}},
      }};
}

KeyTable comm_table(CommConfig& c) {
  return {"comm",
          "how ranks talk to each other",
          {
              {"transport", &c.transport, {.doc = "auto leaves the choice to MPI.", .choices = {"auto"}}},
              {"bucket_bytes",
               &c.bucket_bytes,
               {.doc = "Gradients travel in pieces of about this size, each as soon as it is ready, while "
                       "the rest is "
                       "still being computed.",
                .at_least = 1024}},
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
      checkpoint_table(c.checkpoint),
      comm_table(c.comm)};
  for (KeyTable& table : tables) {
    table.model_kind = &c.model.kind;
    if (table.name == "optimizer.discriminator") table.models = {"gan"};
  }
  return tables;
}

}  // namespace trireme
