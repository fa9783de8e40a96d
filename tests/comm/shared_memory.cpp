// The shared-memory collectives on ranks as threads: what must come out, what goes wrong, what is left
// behind.
#include "comm/shared_memory.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/error.h"
#include "comm/collectives.h"
#include "comm/shared_segment.h"
#include "comm/thread_ranks.h"

namespace trireme {
namespace {

// Runs body(group, threads): `group` over shared memory, `threads` the plain group of the same ranks.
void on_ranks(int ranks, const std::function<void(Communicator&, Communicator&)>& body) {
  run_ranks(ranks, [&](Communicator& threads) {
    auto group = make_shared_memory_communicator(threads.split(0, threads.rank()));
    body(*group, threads);
    threads.barrier();
  });
}

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const CommError& error) {
    return error.what();
  }
  return "no error";
}

TEST(SharedMemory, CollectivesEqualPlainLoops) {
  for (int ranks = 1; ranks <= 5; ++ranks) {
    on_ranks(ranks, [](Communicator& group, Communicator&) { test::check_collectives(group); });
  }
}

// Sizes for every algorithm: small, one piece, several pieces, and cuts that fall anywhere.
TEST(SharedMemory, SumsHaveTheTreesBits) {
  for (int ranks = 1; ranks <= 5; ++ranks) {
    on_ranks(ranks, [](Communicator& group, Communicator&) {
      for (size_t count : {1u, 7u, 1001u, 300007u}) {
        test::check_tree<float>(group, count);
        test::check_tree<double>(group, count);
        test::check_tree<BFloat16>(group, count);
        test::check_tree<Float16>(group, count);
      }
      test::check_same_bits<float>(group, 40001);
      test::check_odd_values<float>(group);
      test::check_odd_values<BFloat16>(group);
    });
  }
}

TEST(SharedMemory, SameBitsAsThreads) {
  for (int ranks : {2, 3, 5}) {
    on_ranks(ranks, [](Communicator& group, Communicator& threads) {
      constexpr size_t count = 123457;
      Buffer ours = group.allocate(count * sizeof(float));
      std::vector<float> theirs(count);
      for (size_t i = 0; i < count; ++i)
        ours.as<float>()[i] = theirs[i] = test::rough<float>(group.rank(), i);
      for (size_t first : {0u, 1u, 17u}) {  // a bucket may begin anywhere
        group.all_reduce(ours.as<float>() + first, count - first, DType::float32, ReduceOp::average);
        threads.all_reduce(theirs.data() + first, count - first, DType::float32, ReduceOp::average);
        ASSERT_EQ(std::memcmp(ours.data(), theirs.data(), count * sizeof(float)), 0) << "from " << first;
      }
    });
  }
}

TEST(SharedMemory, Split) {
  for (int ranks : {2, 3, 5}) {
    on_ranks(ranks, [](Communicator& group, Communicator&) {
      test::check_split(group);
      EXPECT_EQ(group.split(0, 0)->name(), "shared_memory");
    });
  }
}

// Some ranks hand in the group's memory, some any other, some one for sending and the other for receiving; at
// different places of it.
TEST(SharedMemory, RanksMayMixKindsOfMemory) {
  for (int ranks : {2, 3, 4, 5}) {
    on_ranks(ranks, [ranks](Communicator& group, Communicator&) {
      constexpr size_t count = 150001;
      Buffer region = group.allocate((2 * count + 64) * sizeof(float));
      std::vector<float> plain(2 * count);
      std::vector<size_t> bounds{0};
      for (int r = 1; r <= ranks; ++r)
        bounds.push_back(count * static_cast<size_t>(r) / static_cast<size_t>(ranks));
      for (int kind = 0; kind < 16; ++kind) {
        int mine = kind >> (group.rank() % 3);
        float* own = region.as<float>() + group.rank() * 3;
        float* send = (mine & 1) != 0 ? own : plain.data();
        float* receive = (mine & 2) != 0 ? send : ((mine & 4) != 0 ? own : plain.data()) + count;
        for (size_t i = 0; i < count; ++i) send[i] = test::rough<float>(group.rank(), i);
        group.all_reduce(send, receive, count, DType::float32, ReduceOp::sum);
        for (size_t i = 0; i < count; ++i) {
          float expected = test::tree_sum<float>(0, ranks, [i](int r) { return test::rough<float>(r, i); });
          ASSERT_EQ(receive[i], expected)
              << "kind " << kind << ", rank " << group.rank() << ", element " << i;
        }
        for (size_t i = 0; i < count; ++i) send[i] = test::contribution<float>(group.rank(), i);
        float* block = send + bounds[static_cast<size_t>(group.rank())];
        group.all_gather(block, send, bounds, DType::float32);
        if (group.rank() != ranks - 1) std::memset(send, 0, count / 2 * sizeof(float));
        group.broadcast(send, count / 2 * sizeof(float), ranks - 1);
        for (int r = 0; r < ranks; ++r) {
          size_t i = bounds[static_cast<size_t>(r) + 1] - 1;
          ASSERT_EQ(send[i], test::contribution<float>(r, i)) << "block " << r;
        }
      }
    });
  }
}

TEST(SharedMemory, MemoryMayOutliveTheGroup) {
  run_ranks(3, [](Communicator& threads) {
    Buffer memory;
    {
      auto group = make_shared_memory_communicator(threads.split(0, 0));
      memory = group->allocate(5 << 20);
      memory.as<float>()[1000] = static_cast<float>(threads.rank());
      group->all_reduce(memory.data(), 2000, DType::float32);
    }
    threads.barrier();
    EXPECT_EQ(memory.as<float>()[1000], 3);
    std::memset(memory.data(), 1, memory.bytes());
  });
}

// A rank that frees its memory early does not take the others' away.
TEST(SharedMemory, MemoryMayBeFreedByOneRankFirst) {
  on_ranks(3, [](Communicator& group, Communicator&) {
    constexpr size_t count = 5000;
    for (int repetition = 0; repetition < 5; ++repetition) {
      Buffer first = group.allocate(count * sizeof(double));
      if (group.rank() == repetition % 3) first = Buffer(count * sizeof(double));
      Buffer second = group.allocate(group.rank() == 1 ? 0 : 300);
      for (size_t i = 0; i < count; ++i) first.as<double>()[i] = static_cast<double>(i);
      group.all_reduce(first.data(), count, DType::float64);
      ASSERT_EQ(first.as<double>()[count - 1], 3.0 * (count - 1));
    }
  });
}

size_t names_in_shm() {
  size_t names = 0;
  std::string mine = fmt::format("trireme-{}-", getpid());
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    if (entry.path().filename().string().starts_with(mine)) ++names;
  }
  return names;
}

TEST(SharedMemory, EveryKindOfSegmentWorksAndLeavesNothing) {
  for (SegmentKind kind : {SegmentKind::memfd, SegmentKind::posix}) {
    run_ranks(3, [kind](Communicator& threads) {
      const SegmentKind kinds[] = {kind};
      for (size_t bytes : {size_t{1}, size_t{5000}, size_t{3} << 20}) {
        SharedSegment segment(threads, bytes * static_cast<size_t>(threads.rank()),
                              kinds);  // rank 0: nothing
        EXPECT_EQ(segment.kind(), kind);
        for (int r = 0; r < 3; ++r) {
          size_t size = segment.part_bytes(r);
          ASSERT_EQ(size, bytes * static_cast<size_t>(r));
          if (size >= 2u << 20) {
            EXPECT_EQ((segment.part(r) - segment.part(0)) % (2 << 20), 0);
          }
          if (size != 0) {
            EXPECT_EQ(segment.part(r)[size - 1], std::byte{0});
          }
        }
        threads.barrier();
        for (size_t i = 0; i < segment.part_bytes(threads.rank()); ++i) {
          segment.part(threads.rank())[i] = static_cast<std::byte>(threads.rank());
        }
        threads.barrier();
        for (int r = 1; r < 3; ++r)
          EXPECT_EQ(segment.part(r)[segment.part_bytes(r) - 1], static_cast<std::byte>(r));
        threads.barrier();
      }
    });
  }
  EXPECT_EQ(names_in_shm(), 0u);
}

// Huge pages where enough are reserved, and a word on it where not.
TEST(SharedMemory, HugePagesAreUsedWhereReserved) {
  size_t free_pages = 0;
  std::ifstream("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages") >> free_pages;
  run_ranks(2, [free_pages](Communicator& threads) {
    const SegmentKind kinds[] = {SegmentKind::huge};
    std::string message = message_of([&] {
      SharedSegment segment(threads, size_t{3} << 20, kinds);
      segment.part(threads.rank())[(3 << 20) - 1] = std::byte{7};
      threads.barrier();
      EXPECT_EQ(segment.part(1 - threads.rank())[(3 << 20) - 1], std::byte{7});
      threads.barrier();
    });
    if (free_pages >= 4) {
      EXPECT_EQ(message, "no error");
    } else {
      EXPECT_NE(message.find("huge pages are free"), std::string::npos) << message;
    }
  });
}

TEST(SharedMemory, NoRoomIsAnErrorOnAllRanks) {
  on_ranks(3, [](Communicator& group, Communicator& threads) {
    for (size_t bytes : {size_t{1} << 45, ~size_t{0}, group.rank() == 1 ? size_t{1} << 45 : size_t{64}}) {
      std::string message = message_of([&] { group.allocate(bytes); });
      EXPECT_NE(message.find("allocate: no shared memory for the 3 ranks"), std::string::npos) << message;
      EXPECT_NE(message.find("comm.backend = \"mpi\""), std::string::npos) << message;
    }
    // What the system refuses half way: files may not grow.
    threads.barrier();
    rlimit before{};
    if (threads.rank() == 0) {
      std::signal(SIGXFSZ, SIG_IGN);
      getrlimit(RLIMIT_FSIZE, &before);
      rlimit small{1 << 20, before.rlim_max};
      setrlimit(RLIMIT_FSIZE, &small);
    }
    threads.barrier();
    std::string message = message_of([&] { group.allocate(1 << 20); });
    threads.barrier();
    if (threads.rank() == 0) {
      setrlimit(RLIMIT_FSIZE, &before);
      std::signal(SIGXFSZ, SIG_DFL);
    }
    EXPECT_NE(message.find("shm_open: rank 0: ftruncate"), std::string::npos) << message;
    EXPECT_NE(message.find("File too large"), std::string::npos) << message;
    threads.barrier();
    test::check_type<float>(group, 100);  // and the group is as good as before
  });
  EXPECT_EQ(names_in_shm(), 0u);
}

TEST(SharedMemory, RanksThatDisagreeAreTold) {
  auto expect = [](const char* words, const std::function<void(Communicator&)>& call) {
    on_ranks(3, [&](Communicator& group, Communicator&) {
      std::string message = message_of([&] { call(group); });
      EXPECT_NE(message.find(words), std::string::npos) << message;
    });
  };
  auto one = [](Communicator& group) { return static_cast<size_t>(group.rank() == 1); };
  for (size_t count : {10u, 10000u}) {
    expect("ranks disagree: all_reduce", [&](Communicator& group) {
      std::vector<double> own(40000);
      group.all_reduce(own.data(), count + one(group), DType::float32);
    });
    expect("ranks disagree: all_reduce", [&](Communicator& group) {
      std::vector<double> own(40000);
      group.all_reduce(own.data(), count, one(group) ? DType::float32 : DType::int32);
    });
    expect("ranks disagree", [&](Communicator& group) {
      std::vector<double> own(40000);
      if (one(group)) return group.broadcast(own.data(), count, 0);
      group.all_reduce(own.data(), count, DType::float32, ReduceOp::max);
    });
    expect("ranks disagree: reduce_scatter", [&](Communicator& group) {
      std::vector<double> own(40000);
      std::vector<size_t> bounds{0, count / 2 + one(group), count, count};
      group.reduce_scatter(own.data(), own.data() + 20000, bounds, DType::float32);
    });
  }
}

TEST(SharedMemory, WhoWaitsForOneWhoHasLeftIsTold) {
  run_ranks(3, [](Communicator& threads) {
    auto group = make_shared_memory_communicator(threads.split(0, 0));
    float value = 1;
    group->all_reduce(&value, 1, DType::float32);
    EXPECT_EQ(value, 3);
    if (threads.rank() == 2) {
      group.reset();
    } else {
      std::string message = message_of([&] { group->barrier(); });
      EXPECT_NE(message.find("barrier"), std::string::npos) << message;
      EXPECT_NE(message.find("rank 2 of this node has left"), std::string::npos) << message;
    }
    threads.barrier();
  });
}

double thread_cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

TEST(SharedMemory, ALongWaitSleeps) {
  on_ranks(2, [](Communicator& group, Communicator&) {
    for (int straggler : {0, 1}) {
      group.barrier();
      if (group.rank() == straggler) std::this_thread::sleep_for(std::chrono::milliseconds(500));
      double before = thread_cpu_seconds();
      group.barrier();
      EXPECT_LT(thread_cpu_seconds() - before, 0.1) << "rank " << group.rank();
    }
  });
}

// More ranks than processors: thousands of meetings take no longer than switching between ranks does.
TEST(SharedMemory, CrowdsGetOn) {
  on_ranks(5, [](Communicator& group, Communicator&) {
    std::vector<float> values(100, 1);
    for (int i = 0; i < 1000; ++i) group.all_reduce(values.data(), 100, DType::float32, ReduceOp::average);
    EXPECT_EQ(values[99], 1);
  });
}

}  // namespace
}  // namespace trireme
