/* Counts the words of its input. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define WORDS 4096

static struct {
  char text[64];
  int count;
} words[WORDS];

static void add(const char *text) {
  int i = 0;
  while (i < WORDS - 1 && words[i].count > 0 && strcmp(words[i].text, text) != 0)
    i++;
  snprintf(words[i].text, sizeof(words[i].text), "%s", text);
  words[i].count++;
}

int main(void) {
  char word[64];
  size_t length = 0;
  for (int c = getchar(); c != EOF; c = getchar()) {
    if (isalnum(c) && length + 1 < sizeof(word)) {
      word[length++] = (char)c;
      continue;
    }
    word[length] = '\0';
    if (length > 0)
      add(word);
    length = 0;
  }
  for (int i = 0; i < WORDS && words[i].count > 0; i++)
    printf("%s %d\n", words[i].text, words[i].count);
  return 0;
}
