// UCX's status codes as exceptions of the house.
#pragma once

#include <ucs/type/status.h>

#include <string>
#include <string_view>

#include "base/error.h"

namespace trireme {

// What UCX answered, in a message "WHAT: what UCX says of the status".
class UcxError : public CommError {
 public:
  UcxError(ucs_status_t status, std::string_view what);
  ucs_status_t status() const { return status_; }

 private:
  ucs_status_t status_;
};

// The one place where a status becomes an exception: throws UcxError unless `status` is UCS_OK. `what` names
// the operation and the peer.
void check_ucx(ucs_status_t status, std::string_view what);

}  // namespace trireme
