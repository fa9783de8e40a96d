// The coordinator's part: who computes what.
#include <algorithm>

#include <utility>

#include "base/error.h"
#include "comm/parameter_server/server_loop.h"

namespace trireme {

void ParameterServer::Loop::on_next(Peer& peer) {
  if (peer.worker < 0) return;
  // Who asks twice waits once: its client takes one answer.
  if (std::find(waiting_.begin(), waiting_.end(), peer.token) == waiting_.end())
    waiting_.push_back(peer.token);
  serve_waiting();
}

void ParameterServer::Loop::serve_waiting() {
  if (!coordinator_) return;  // a successor that does not yet know: they wait
  for (size_t count = waiting_.size(); count > 0; --count) {
    uint64_t token = waiting_.front();
    waiting_.pop_front();
    Peer* peer = peer_of(token);
    if (peer == nullptr) continue;
    if (!coordinator_->is_current(peer->worker, peer->incarnation)) {
      say(*peer, Word::fence, WorkerName{peer->worker, peer->incarnation});
      continue;
    }
    Coordinator::Answer answer = coordinator_->next(peer->worker, now());
    if (answer.kind == Coordinator::Answer::wait) {
      waiting_.push_back(token);
      continue;
    }
    say(*peer, Word::answer,
        TicketAnswer{static_cast<uint8_t>(answer.kind == Coordinator::Answer::end), answer.what.clock,
                     answer.what.piece});
  }
  std::lock_guard lock(figures_mutex_);
  figures_.workers = coordinator_->present();
  figures_.by_worker = coordinator_->figures(now());
}

void ParameterServer::Loop::on_done(Peer& peer, const TicketReport& report) {
  const CoordinatorOptions& run = options_.coordinator;
  if (peer.worker < 0 || report.clock < 0 || report.clock >= run.end_clock || report.piece < 0 ||
      report.piece >= run.pieces)
    throw CommError("{} reports (clock {}, piece {}), which is not in this run", peer.name(), report.clock,
                    report.piece);
  if (!coordinator_) {  // a successor that does not yet know
    if (coordinates() && ready_) early_reports_.emplace_back(peer.token, report);
    return;
  }
  say(peer, Word::done_ack, ClockOnly{Ticket{report.clock, report.piece}.number(run.pieces)});
  if (report.clock < run.first_clock || report.clock >= coordinator_->end_clock()) return;
  bool first = coordinator_->done({report.clock, report.piece}, report.worker, now());
  if (first && events_.ticket_done) events_.ticket_done(report, coordinator_->complete());
  gather_if_finished();
  serve_waiting();
}

void ParameterServer::Loop::stop() { on_stop(); }

void ParameterServer::Loop::on_stop() {
  bool is_news = !std::exchange(stop_wanted_, true);
  if (coordinator_) {
    coordinator_->stop_at(coordinator_->issued_clock());
    gather_if_finished();
    return;
  }
  if (!is_news) return;
  for (auto& [token, peer] : peers_) {  // all of them: whoever may succeed must know
    if (peer->server >= 0) say(*peer, Word::stop);
  }
}

// All tickets are done, so the live state is that after the last clock.
void ParameterServer::Loop::gather_if_finished() {
  if (!coordinator_ || !coordinator_->finished() || gathering_) return;
  gathering_ = true;
  ClockOnly end{coordinator_->end_clock()};
  for (auto& [token, peer] : peers_) {
    if (peer->server >= 0) say(*peer, Word::gather, end);
  }
  on_gather(end.clock);
}

}  // namespace trireme
