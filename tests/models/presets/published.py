"""What was published about each preset's size: entries of its vocabulary, as the weights have them, and parameters.

Parameters come from the paper, or exactly from the released weights (the Hugging Face hub's count of their elements, less what is
stored twice or is no parameter, as written here) or code.
"""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    vocab_size: int
    parameters: float
    source: str


GPT3 = "table D.1"
LLAMA = "table 2"
WEIGHTS = "weights"
CODE = "code"  # counted in the model's released code
ROTARY = 64  # Llama 2's weights hold each layer's table of frequencies: no parameters
FALCON = 65024  # Falcon's weights hold the tied output matrix again: this many rows of the model's width
BEFORE_POSITIONS = 2 * 2  # rows of BART's tables of positions, an encoder's and a decoder's, that nothing looks up

PUBLISHED = {
    "gpt3_125m": Published(50257, 125e6, GPT3),
    "gpt3_350m": Published(50257, 356e6, GPT3),
    "gpt3_760m": Published(50257, 760e6, GPT3),
    "gpt3_1.3b": Published(50257, 1320e6, GPT3),
    "gpt3_2.7b": Published(50257, 2650e6, GPT3),
    "gpt3_6.7b": Published(50257, 6660e6, GPT3),
    "gpt3_13b": Published(50257, 12850e6, GPT3),
    "gpt3_175b": Published(50257, 174600e6, GPT3),
    "llama_7b": Published(32000, 6.7e9, LLAMA),
    "llama_13b": Published(32000, 13.0e9, LLAMA),
    "llama_33b": Published(32000, 32.5e9, LLAMA),
    "llama_65b": Published(32000, 65.2e9, LLAMA),
    "llama2_7b": Published(32000, 6_738_417_664 - 32 * ROTARY, WEIGHTS),
    "llama2_13b": Published(32000, 13_015_866_880 - 40 * ROTARY, WEIGHTS),
    "llama2_70b": Published(32000, 68_976_653_312 - 80 * ROTARY, WEIGHTS),
    "llama3_8b": Published(128256, 8_030_261_248, WEIGHTS),
    "llama3_70b": Published(128256, 70_553_706_496, WEIGHTS),
    "llama3_405b": Published(128256, 405_853_388_800, WEIGHTS),
    "mixtral_8x7b": Published(32000, 46_702_792_704, WEIGHTS),
    "mixtral_8x22b": Published(32000, 140_620_634_112, WEIGHTS),
    "mistral_7b": Published(32000, 7_241_732_096, WEIGHTS),
    "bloom_176b": Published(250880, 176_247e6, "table 3"),
    "palm_540b": Published(256000, 540.35e9, "table 1"),
    "falcon_7b": Published(FALCON, 7_217_189_760 - FALCON * 4544, WEIGHTS),
    "falcon_40b": Published(FALCON, 41_835_970_560 - FALCON * 8192, WEIGHTS),
    "falcon_180b": Published(FALCON, 179_522_565_120 - FALCON * 14848, WEIGHTS),
    "qwen2_0.5b": Published(151936, 494_032_768, WEIGHTS),
    "qwen2_1.5b": Published(151936, 1_543_714_304, WEIGHTS),
    "qwen2_7b": Published(152064, 7_615_616_512, WEIGHTS),
    "qwen2_72b": Published(152064, 72_706_203_648, WEIGHTS),
    "qwen2_57b_a14b": Published(151936, 57e9, "table 1"),
    "qwen3_0.6b": Published(151936, 596_049_920, WEIGHTS),
    "qwen3_1.7b": Published(151936, 1_720_574_976, WEIGHTS),
    "qwen3_4b": Published(151936, 4_022_468_096, WEIGHTS),
    "qwen3_8b": Published(151936, 8_190_735_360, WEIGHTS),
    "qwen3_14b": Published(151936, 14_768_307_200, WEIGHTS),
    "qwen3_32b": Published(151936, 32_762_123_264, WEIGHTS),
    "qwen3_30b_a3b": Published(151936, 30_532_122_624, WEIGHTS),
    "qwen3_235b_a22b": Published(151936, 235_093_634_560, WEIGHTS),
    "gemma2_2b": Published(256000, 2_614_341_888, WEIGHTS),
    "gemma2_9b": Published(256000, 9_241_705_984, WEIGHTS),
    "gemma2_27b": Published(256000, 27_227_128_320, WEIGHTS),
    "olmo2_7b": Published(100352, 7_298_617_344, WEIGHTS),
    "olmo2_13b": Published(100352, 13_716_198_400, WEIGHTS),
    "olmo2_32b": Published(100352, 32_234_279_936, WEIGHTS),
    # Those of the main model and of the layer for one token more, which holds embedding and output again.
    "deepseek_v3_671b": Published(129280, 680_571_043_840 + 3_918_786_560 - 2 * 129280 * 7168, WEIGHTS),
    "yulan_12b": Published(51190, 12e9, "abstract"),
    "glm4_9b": Published(151552, 9_399_951_360, WEIGHTS),
    # SwissArmyTransformer 0.4.12's layers, in the sizes of github.com/THUDM/GLM-130B, configs/model_glm_130b.sh.
    "glm_130b": Published(150528, 128_697_794_560, CODE),
    # T5's, BART's and BERT's are what transformers counts in its classes (T5ForConditionalGeneration, BartModel,
    # BertForPreTraining, each with its heads); keras-hub's presets have the same of T5 3B and of 1.1's XL and XXL.
    "t5_small": Published(32128, 60_506_624, WEIGHTS),
    "t5_base": Published(32128, 222_903_552, WEIGHTS),
    "t5_large": Published(32128, 737_668_096, WEIGHTS),
    "t5_3b": Published(32128, 2_851_598_336, WEIGHTS),
    "t5_11b": Published(32128, 11_307_321_344, WEIGHTS),
    "t5_v1.1_small": Published(32128, 76_961_152, WEIGHTS),
    "t5_v1.1_base": Published(32128, 247_577_856, WEIGHTS),
    "t5_v1.1_large": Published(32128, 783_150_080, WEIGHTS),
    "t5_v1.1_xl": Published(32128, 2_849_757_184, WEIGHTS),
    "t5_v1.1_xxl": Published(32128, 11_135_332_352, WEIGHTS),
    # Counted by transformers (its class holds the output matrix and the embedding once).
    "ul2_20b": Published(32128, 19_459_613_696, WEIGHTS),
    "bart_base": Published(50265, 139_420_416 - BEFORE_POSITIONS * 768, WEIGHTS),
    "bart_large": Published(50265, 406_291_456 - BEFORE_POSITIONS * 1024, WEIGHTS),
    "bert_base": Published(30522, 110_106_428, WEIGHTS),
    "bert_large": Published(30522, 336_226_108, WEIGHTS),
}
