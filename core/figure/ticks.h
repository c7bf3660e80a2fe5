// Round numbers on axes.
#pragma once

#include <string>
#include <vector>

namespace kappascope {

struct Tick {
  double value;
  std::string label;
};

// Multiples of 1, 2 or 5 times a power of ten within [low, high]: as many as fit into `most`, with
// labels of equal decimals. `integer`: whole numbers only.
std::vector<Tick> linear_ticks(double low, double high, int most, bool integer = false);

// Powers of ten within [low, high] (every n-th when there are too many), their 1-2-5 or 1-3 parts
// when there are few; linear_ticks when the range is smaller than that.
std::vector<Tick> log_ticks(double low, double high, int most);

// Where the unlabelled ticks of a log axis are, between and beyond its ticks: the other multiples
// of powers of ten, else even parts of equal gaps; at most `most`.
std::vector<double> minor_log_ticks(double low, double high, const std::vector<Tick>& ticks,
                                    int most);

// A step of 1, 2, 5, 10, 20, 50 … that cuts `count` things into at most `most` parts.
long long round_step(long long count, long long most);

}  // namespace kappascope
