// The parts of report.html that do not change: its style, and the script that draws. Plain text, no template
// language, nothing that is loaded from anywhere.
#pragma once

#include <string_view>

namespace trireme {

std::string_view page_style();
std::string_view page_body();
// Scripts in the order in which they stand; each is one file here.
std::string_view script_tools();     // data, scales, axes, marks, the tip
std::string_view script_history();   // scores in their order, learning curves
std::string_view script_parallel();  // parallel coordinates with brushes
std::string_view script_charts();    // importances, slices, the Pareto front
std::string_view script_timeline();  // who was busy when
std::string_view script_table();     // all trials
std::string_view script_main();      // draws all of them, and again when something changes

}  // namespace trireme
