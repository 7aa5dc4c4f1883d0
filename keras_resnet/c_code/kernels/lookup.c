/* A function of one number, by a table of what LiteRT's kernel makes of each. */
struct lookup {
  const int8_t *input;
  int8_t *output;
  const int8_t *table; /* of the bits of the input as a number of 0 to 255 */
  int32_t count;
};

static void lookup(const struct lookup *p) {
  for (int32_t i = 0; i < p->count; i++) p->output[i] = p->table[(uint8_t)p->input[i]];
}
