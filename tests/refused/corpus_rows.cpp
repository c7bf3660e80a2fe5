// Tasks, corpora and chats: what is wrong in which line.
#include "core/chat/chat_format.h"
#include "core/corpus/documents.h"
#include "core/tasks/bundle.h"
#include "core/tasks/task.h"
#include "core/train/log_reader.h"
#include "tests/refused/refused.h"
#include "tests/unit/packed.h"

namespace kappascope::refused {
namespace {

auto task(const std::string& line) {
  return [=](const TempFolder& folder) {
    folder.write("tasks.jsonl", line);
    read_task_lines(line, "tasks.jsonl", std::nullopt);
    return std::string();
  };
}
auto bundle(const std::string& text) {
  return [=](const TempFolder& folder) {
    folder.write("core.yaml", text);
    parse_bundle(text, "core.yaml");
    return std::string();
  };
}
auto baselines(const std::string& text) {
  return [=](const TempFolder& folder) {
    folder.write("eval_meta_data.csv", text);
    parse_baselines(text, "eval_meta_data.csv");
    return std::string();
  };
}

Rows task_rows() {
  return {{"no task", task(""), "3 tasks.jsonl: expected a JSON object a line, found no line"},
          {"task is no JSON", task("{\"query\":"),
           "3 tasks.jsonl:1: offset 8: invalid JSON: syntax error while parsing value - unexpected "
           "end of input; expected '[', '{', or a literal"},
          {"task is a list", task("[]"), "3 tasks.jsonl:1: expected a JSON object, found []"},
          {"task of no kind", task("{}"),
           "4 tasks.jsonl:1: the keys are of no task; expected \"query\" and \"choices\", "
           "\"context_options\" and \"continuation\", or \"context\" and \"continuation\""},
          {"choices are a text", task(R"({"query":"q","choices":"ab","gold":0})"),
           "3 tasks.jsonl:1: \"choices\": expected a list of texts, found \"ab\""},
          {"choice is a number", task(R"({"query":"q","choices":["a",1],"gold":0})"),
           "3 tasks.jsonl:1: \"choices\": expected a text, found 1"},
          {"gold beyond the choices", task(R"({"query":"q","choices":["a","b"],"gold":2})"),
           "3 tasks.jsonl:1: \"gold\": expected 0 to 1, found 2"},
          {"negative gold", task(R"({"query":"q","choices":["a","b"],"gold":-1})"),
           "3 tasks.jsonl:1: \"gold\": expected 0 to 1, found -1"},
          {"gold as text", task(R"({"query":"q","choices":["a","b"],"gold":"a"})"),
           "3 tasks.jsonl:1: \"gold\": expected 0 to 1, found \"a\""},
          {"gold missing", task(R"({"query":"q","choices":["a","b"]})"),
           "3 tasks.jsonl:1: expected a key \"gold\", found none"},
          {"two kinds in a file",
           task("{\"query\":\"q\",\"choices\":[\"a\",\"b\"],\"gold\":1}\n{\"context\":\"a\","
                "\"continuation\":\"b\"}"),
           "3 tasks.jsonl:2: expected a key \"query\", found none"},
          {"context is null", task(R"({"context":null,"continuation":"b"})"),
           "3 tasks.jsonl:1: \"context\": expected a text, found null"},
          {"task that is no UTF-8", task("{\"query\":\"\xff\"}"),
           "3 tasks.jsonl:1: offset 10: invalid JSON: syntax error while parsing value - invalid "
           "string: ill-formed UTF-8 byte; last read: '\"\\xff'"},
          {"bundle without tasks", bundle("other: 1\n"),
           "3 core.yaml: expected tasks in a list \"icl_tasks\", found none"},
          {"bundle with a tab", bundle("icl_tasks:\n-\n\tlabel: a\n"),
           "3 core.yaml:3: expected blanks in front of a line, found a tab"},
          {"bundle with an anchor", bundle("icl_tasks:\n- &a\n  label: a\n"),
           "3 core.yaml:2: expected 'key: value', found '&a'"},
          {"bundle with an open quote", bundle("icl_tasks:\n-\n  label: 'a\n"),
           "3 core.yaml:3: expected a closing quote, found the end of the line"},
          {"bundle without a type", bundle("icl_tasks:\n-\n  label: a\n  dataset_uri: b\n"),
           "3 core.yaml:2: a task without icl_task_type"},
          {"shots as text",
           bundle("icl_tasks:\n-\n  label: a\n  dataset_uri: b\n  num_fewshot: [x]\n  "
                  "icl_task_type: schema\n"),
           "3 core.yaml:5: num_fewshot: expected 0 to 1000, found 'x'"},
          {"baselines without a column", baselines("Eval Task\na\n"),
           "3 eval_meta_data.csv: expected a column \"Random baseline\", found none"},
          {"baseline as text", baselines("Eval Task,Random baseline\na,x\n"),
           "3 eval_meta_data.csv: random baseline of 'a': expected a number from 0 to below 100, "
           "found 'x'"},
          {"baseline of 100", baselines("Eval Task,Random baseline\na,100\n"),
           "3 eval_meta_data.csv: random baseline of 'a': expected a number from 0 to below 100, "
           "found '100'"}};
}

// The first failure of a corpus of one file, whose bytes are made when they are needed.
template <typename Make>
auto made_corpus(const std::string& name, const Make& make) {
  return [=](const TempFolder& folder) {
    folder.write(name, make());
    DocumentReader reader({.files = {(folder / name).string()}, .domain_field = "domain"});
    std::string said;
    for (Document document; reader.next(document);) {
      if (document.failure) { throw Error(document.failure); }
      said += "[" + printable(document.text.substr(0, 40)) + "]";
    }
    return said;
  };
}
auto corpus(const std::string& name, const std::string& bytes) {
  return made_corpus(name, [=] { return bytes; });
}

Rows document_rows() {
  const std::string line = R"({"text":"a"})";
  return {
      {"line that is no JSON", corpus("c.jsonl", line + "\nonce\n"),
       "3 DIR/c.jsonl:2: offset 0: invalid JSON: syntax error while parsing value - invalid "
       "literal; last read: 'o'"},
      {"line that ends early", corpus("c.jsonl", line.substr(0, 8)),
       "3 DIR/c.jsonl:1: offset 7: invalid JSON: syntax error while parsing value - unexpected end "
       "of input; expected '[', '{', or a literal"},
      {"line without a text", corpus("c.jsonl", R"({"body":"a"})"),
       "3 DIR/c.jsonl:1: expected an object with a text \"text\", found none"},
      {"line whose text is a number", corpus("c.jsonl", R"({"text":7})"),
       "3 DIR/c.jsonl:1: expected an object with a text \"text\", found 7"},
      {"line that is a list", corpus("c.jsonl", "[]"),
       "3 DIR/c.jsonl:1: expected an object with a text \"text\", found none"},
      {"line nested deeply", corpus("c.jsonl", std::string(1000, '[')),
       "3 DIR/c.jsonl:1: offset 64: nested deeper than 64 levels"},
      {"line with a NUL", corpus("c.jsonl", std::string("{\"text\":\"a\0\"}", 13)),
       "3 DIR/c.jsonl:1: offset 10: JSON: a NUL byte"},
      {"line that is no UTF-8", corpus("c.jsonl", "{\"text\":\"\xff\"}"),
       "3 DIR/c.jsonl:1: offset 9: invalid JSON: syntax error while parsing value - invalid "
       "string: ill-formed UTF-8 byte; last read: '\"\\xff'"},
      {"text that is Latin-1", corpus("c.txt", "caf\xe9"),
       "3 DIR/c.txt: offset 3: not UTF-8; expected a text, found byte 0xe9"},
      {"text in UTF-16",
       corpus("c.txt", std::string("\xff\xfe"
                                   "a\0b\0",
                                   6)),
       "3 DIR/c.txt: the text is UTF-16; expected UTF-8: `iconv -f UTF-16 -t UTF-8` converts it"},
      {"CSV without the column", corpus("c.csv", "body,x\na,b\n"),
       "3 DIR/c.csv: expected a column \"text\", found \"body\", \"x\""},
      {"CSV row of other columns", corpus("c.csv", "text,x\na,b,c\n"),
       "3 DIR/c.csv:2: expected 2 fields as in the first line, found 3"},
      {"CSV with an open quote", corpus("c.csv", "text,x\n\"a,b\n"),
       "3 DIR/c.csv:2: expected a quote that closes the field, found the end of the file"},
      {"CSV with text after a quote", corpus("c.csv", "text,x\n\"a\"b,c\n"),
       "3 DIR/c.csv:2: expected a comma or the end of the line after a closing quote, found other "
       "text"},
      {"CSV without rows", corpus("c.csv", ""),
       "3 DIR/c.csv: expected a line with the names of the columns, found none"}};
}

Rows packed_rows() {
  const std::string line = R"({"text":"a"})";
  return {
      {"gzip that is none", corpus("c.jsonl.gz", "no gzip at all"),
       "3 DIR/c.jsonl.gz: offset 2: broken gzip stream: incorrect header check"},
      {"gzip that ends early",
       corpus("c.jsonl.gz", testing::gzip_of(std::string(5000, 'x')).substr(0, 30)),
       "3 DIR/c.jsonl.gz: offset 30: the gzip stream ends early"},
      {"gzip with a wrong checksum",
       corpus("c.txt.gz",
              [] {
                std::string packed = testing::gzip_of("some text");
                packed[packed.size() - 6] ^= 1;
                return packed;
              }()),
       "3 DIR/c.txt.gz: offset 25: broken gzip stream: incorrect data check"},
      {"gzip of a line of 260 MB",
       made_corpus("c.jsonl.gz", [] { return testing::gzip_of(std::string(260U << 20, 'x')); }),
       "3 DIR/c.jsonl.gz:1: text too long; expected at most 268435456 bytes, found more"},
      {"zstd that is none", corpus("c.jsonl.zst", "no zstd at all"),
       "3 DIR/c.jsonl.zst: offset 0: broken zstd stream: Unknown frame descriptor"},
      {"zstd that ends early",
       corpus("c.jsonl.zst", testing::zstd_of(std::string(5000, 'x')).substr(0, 12)),
       "3 DIR/c.jsonl.zst: offset 12: the zstd stream ends early"},
      {"zstd with a window of terabytes",
       corpus("c.jsonl.zst", std::string("\x28\xb5\x2f\xfd\x00\xff\x00\x00", 8)),
       "4 DIR/c.jsonl.zst: offset 0: zstd window; expected at most 128 MiB, found more: `zstd -d "
       "--long=31 -c FILE | zstd -o NEW` packs it anew"},
      {"zstd of a line of 260 MB",
       made_corpus("c.jsonl.zst", [] { return testing::zstd_of(std::string(260U << 20, 'x')); }),
       "3 DIR/c.jsonl.zst:1: text too long; expected at most 268435456 bytes, found more"},
#ifdef KAPPASCOPE_TESTS_ARROW
      {"Parquet that is none", corpus("c.parquet", "PAR1 and more PAR1"),
       "3 DIR/c.parquet: cannot be read as Parquet: Parquet file size is 18 bytes, smaller than "
       "the size reported by footer's (543519343bytes)"},
      {"Parquet of four bytes", corpus("c.parquet", "PAR1"),
       "3 DIR/c.parquet: cannot be read as Parquet: Parquet file size is 4 bytes, smaller than the "
       "minimum file footer (8 bytes)"},
      {"Parquet with a footer of 4 GB",
       corpus("c.parquet", std::string("PAR1aaaa\xff\xff\xff\xffPAR1", 16)),
       "3 DIR/c.parquet: cannot be read as Parquet: Parquet file size is 16 bytes, smaller than "
       "the size reported by footer's (4294967295bytes)"},
#endif
      {"corpus that is not there",
       [](const TempFolder& folder) {
         corpus_files({(folder / "none.txt").string()});
         return std::string();
       },
       "5 DIR/none.txt: cannot be opened: No such file or directory"}};
}

auto log(const std::string& text) {
  return file_row("train.jsonl", text, [](const auto& path) { read_training_log(path); });
}

Rows log_rows() {
  const std::string head =
      R"({"schema":"kappascope.train/1","settings":{"tokens":640,"batch":2,"context":32}})"
      "\n";
  return {{"log of a list", log("[1]\n"), "3 DIR/train.jsonl:1: expected an object, found [1]"},
          {"log of another schema", log("{\"schema\":\"other/2\"}\n"),
           "4 DIR/train.jsonl:1: not the log of a training run; expected the schema "
           "\"kappascope.train/1\", found \"other/2\""},
          {"log without a step", log(head + "{}\n"),
           "3 DIR/train.jsonl:2: expected an object with a whole \"step\", found none"},
          {"log that goes back", log(head + "{\"step\":2,\"loss\":1}\n{\"step\":1,\"loss\":1}\n"),
           "3 DIR/train.jsonl:3: step 1 after step 2"},
          {"loss as text", log(head + "{\"step\":1,\"loss\":\"x\"}\n"),
           "3 DIR/train.jsonl:2: \"loss\": expected a number, found \"x\""},
          {"step of -1", log(head + "{\"step\":-1,\"loss\":1}\n"),
           "3 DIR/train.jsonl:2: \"step\": expected a whole number from 0 to 9007199254740992, "
           "found -1"},
          {"log line of 2 MB", log(head + std::string(2 << 20, ' ')),
           "3 DIR/train.jsonl:2: a line of more than 1048576 bytes"}};
}

}  // namespace

Rows corpus_rows() {
  return joined({task_rows(), document_rows(), packed_rows(), log_rows()});
}

}  // namespace kappascope::refused
