#include "comm/ucx/status.h"

namespace trireme {

UcxError::UcxError(ucs_status_t status, std::string_view what)
    : CommError("{}: {}", what, ucs_status_string(status)), status_(status) {}

void check_ucx(ucs_status_t status, std::string_view what) {
  if (status != UCS_OK) throw UcxError(status, what);
}

}  // namespace trireme
