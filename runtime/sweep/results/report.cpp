// report.html
#include <string>

#include "base/atomic_file.h"
#include "sweep/results.h"
#include "sweep/results/page.h"
#include "sweep/results/report_data.h"

namespace trireme {
namespace {

// Of a text between tags.
std::string escaped(const std::string& text) {
  std::string result;
  for (char c : text) {
    switch (c) {
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '&':
        result += "&amp;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

// JSON that stands in a script element: a '<' in it could only end the element ("</script>") or begin a
// comment, and in JSON it is a part of a text, where it may be written by its number.
std::string script_safe(const std::string& json) {
  std::string result;
  for (char c : json) {
    if (c == '<') {
      result += "\\u003c";
    } else {
      result += c;
    }
  }
  return result;
}

}  // namespace

std::string report_of(const SweepView& view, double now) {
  // What a reason quotes need not be UTF-8, the page must.
  std::string data =
      report_data(view, now).dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  std::string page = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  page += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>";
  page += escaped(view.config.sweep.name) + " - sweep</title>\n<style>\n";
  page += page_style();
  page += "</style>\n</head>\n<body>\n";
  page += page_body();
  page += "<script type=\"application/json\" id=\"data\">" + script_safe(data) +
          "</script>\n<script>\n'use strict';\n";
  for (auto script : {script_tools, script_history, script_parallel, script_charts, script_timeline,
                      script_table, script_main}) {
    page += script();
  }
  page += "</script>\n</body>\n</html>\n";
  return page;
}

void write_report(const std::filesystem::path& folder, const SweepView& view, double now) {
  write_file_atomically(folder / "report.html", report_of(view, now));
}

}  // namespace trireme
