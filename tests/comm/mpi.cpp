// The collectives over MPI; run by mpirun on 2 and on 3 ranks.
#include <gtest/gtest.h>

#include "base/error.h"
#include "comm/collectives.h"
#include "comm/mpi_communicator.h"
#include "comm/run_main.h"
#include "comm/world.h"

namespace trireme {
namespace {

// The World of main; tests only look at it.
World* the_world = nullptr;

TEST(Mpi, World) {
  EXPECT_EQ(the_world->launcher(), "mpirun");
  EXPECT_GE(the_world->size(), 2);
  EXPECT_EQ(the_world->communicator().name(), "mpi");
  EXPECT_EQ(the_world->communicator().rank(), the_world->rank());
  EXPECT_EQ(the_world->communicator().size(), the_world->size());
  EXPECT_EQ(the_world->local_size(), the_world->size());
  EXPECT_EQ(the_world->local_rank(), the_world->rank());
  EXPECT_EQ(the_world->hosts(), 1);
  EXPECT_EQ(the_world->rank(), rank_from_environment());
  EXPECT_THROW(World(), CommError);
  if (the_world->rank() == 0) std::printf("MPI_Init took %.3f s\n", the_world->init_seconds());
}

TEST(Mpi, CollectivesEqualPlainLoops) { test::check_collectives(the_world->communicator()); }

TEST(Mpi, SameBitsEveryTime) {
  test::check_same_bits<float>(the_world->communicator(), 1003);
  test::check_same_bits<float>(the_world->communicator(), 70001);
  test::check_same_bits<double>(the_world->communicator(), 17);
}

TEST(Mpi, Split) {
  test::check_split(the_world->communicator());
  EXPECT_THROW(the_world->communicator().split(-3, 0), CommError);
}

// Every algorithm at every size: in pieces (as more than INT_MAX bytes go), in chunks, in rounds of the
// whole.
TEST(Mpi, EveryAlgorithm) {
  for (size_t small : {0u, 1u << 30}) {
    for (size_t piece : {5u, 64u, 1u << 30}) {
      MpiTuning tuning{.piece = piece, .small_bytes = small, .chunk_bytes = piece * 3};
      auto group = make_mpi_communicator(MPI_COMM_WORLD, std::make_shared<Activity>(), tuning);
      for (size_t count : {0u, 1u, 6u, 7u, 8u, 15u, 101u, 353u}) {
        test::check_type<float>(*group, count);
        test::check_type<int64_t>(*group, count);
        test::check_type<BFloat16>(*group, count);
        if (count == 0) continue;
        test::check_tree<float>(*group, count);
        test::check_tree<Float16>(*group, count);
      }
      test::check_odd_values<float>(*group);
      test::check_odd_values<double>(*group);
      test::check_odd_values<BFloat16>(*group);
    }
  }
}

TEST(Mpi, SumsAlongTheTree) {
  for (size_t count : {1u, 37u, 5001u, 300007u}) test::check_tree<float>(the_world->communicator(), count);
  test::check_tree<double>(the_world->communicator(), 777);
}

TEST(Mpi, ErrorsNameRankHostAndOperation) {
  try {
    check_mpi(MPI_ERR_TRUNCATE, "all_reduce");
    FAIL();
  } catch (const CommError& error) {
    std::string message = error.what();
    EXPECT_EQ(message.find(fmt::format("rank {} on {}: all_reduce failed: ", the_world->rank(), host_name())),
              0u);
    EXPECT_NE(message.find("truncated"), std::string::npos) << message;
  }
  EXPECT_THROW(the_world->communicator().broadcast(nullptr, 0, 99), CommError);
  // A fault that MPI itself finds comes back as an error rather than ending the job.
  EXPECT_NE(MPI_Send(nullptr, 1, MPI_INT, 9999, 0, MPI_COMM_WORLD), MPI_SUCCESS);
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return trireme::run_main("test_comm_mpi", argc, argv, [](int, char**) {
    trireme::World world({.backend = "mpi"});
    trireme::the_world = &world;
    int result = RUN_ALL_TESTS();
    float worst = static_cast<float>(result);
    world.communicator().all_reduce(&worst, 1, trireme::DType::float32, trireme::ReduceOp::max);
    return static_cast<int>(worst);
  });
}
