#include "sweep/suggester.h"

#include <chrono>

#include "base/error.h"

namespace trireme {
namespace {

// Less than it takes to wake a thread and to be woken by it.
constexpr double quick_seconds = 5e-4;

}  // namespace

Suggester::Suggester(Sampler& sampler, const Space& space, History past,
                     std::function<std::string(const Point&)> trial_config,
                     std::function<int(const Point&)> width_of)
    : sampler_(sampler),
      space_(space),
      trial_config_(std::move(trial_config)),
      width_of_(std::move(width_of)),
      history_(std::move(past)),
      thread_([this] { work(); }) {}

Suggester::~Suggester() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  asked_.notify_one();
  thread_.join();
}

void Suggester::feed(const Record& record, int64_t worker) {
  std::lock_guard lock(mutex_);
  records_.emplace_back(record, worker);
}

void Suggester::ask(int64_t number) {
  std::unique_lock lock(mutex_);
  if (last_seconds_ < quick_seconds) {
    work_out(number, lock);
    return;
  }
  number_ = number;
  lock.unlock();
  asked_.notify_one();
}

std::optional<Suggester::Answer> Suggester::answer(double timeout_seconds) {
  std::unique_lock lock(mutex_);
  answered_.wait_for(lock, std::chrono::duration<double>(timeout_seconds), [&] { return answer_ || error_; });
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  return std::exchange(answer_, std::nullopt);
}

void Suggester::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    asked_.wait(lock, [&] { return ending_ || number_; });
    if (ending_) return;
    work_out(*std::exchange(number_, std::nullopt), lock);
    answered_.notify_one();
  }
}

// Without the lock in between: more may be fed meanwhile.
void Suggester::work_out(int64_t number, std::unique_lock<std::mutex>& lock) {
  std::deque<std::pair<Record, int64_t>> records = std::exchange(records_, {});
  lock.unlock();
  auto begin = std::chrono::steady_clock::now();
  Answer found;
  std::exception_ptr error;
  try {
    for (const auto& [record, worker] : records) history_.apply(record, worker);
    found = suggest(number);
  } catch (...) {
    error = std::current_exception();
  }
  lock.lock();
  last_seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (error) {
    error_ = error;
  } else {
    answer_ = std::move(found);
  }
}

Suggester::Answer Suggester::suggest(int64_t number) {
  std::optional<Suggestion> suggestion = sampler_.suggest(history_, number);
  if (!suggestion) return {};
  Proposal proposal;
  proposal.record = {.trial = number,
                     .values = literals_of(space_, suggestion->point),
                     .point = suggestion->point,
                     .width = width_of_(suggestion->point),
                     .based_on = history_.records(),
                     .parent = suggestion->parent};
  try {
    proposal.config = trial_config_(suggestion->point);
  } catch (const ConfigError& error) {
    proposal.error = error.what();
  }
  return {std::move(proposal)};
}

}  // namespace trireme
