#include "tests/bench/work.h"

#include <iostream>

namespace kappascope::bench {

int serve(const std::map<std::string, Maker>& makers) {
  std::unique_ptr<Work> work;
  for (std::string line; std::getline(std::cin, line);) {
    Json answer;
    try {
      const Json command = Json::parse(line);
      if (command.contains("make")) {
        work.reset();  // its memory goes first
        work = makers.at(command.at("make").get<std::string>())(command);
        answer = Json::object();
      } else {
        answer = work->run(command.at("run"));
      }
    } catch (const std::exception& error) { answer = {{"error", error.what()}}; }
    std::cout << answer.dump() << std::endl;
  }
  return 0;
}

}  // namespace kappascope::bench
