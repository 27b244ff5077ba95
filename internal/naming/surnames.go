package naming

// surnames are the surnames of two characters, and those that are read differently as a
// surname than elsewhere, in both scripts. Where regions differ (覃 Qin or Tan, 盖 Ge or
// Gai) the reading is that of the Xiandai Hanyu Cidian for the surname; the key pinyin of a
// rule has another one.
var surnames = map[string]string{
	"单": "shan", "單": "shan", "曾": "zeng", "解": "xie", "仇": "qiu", "区": "ou", "區": "ou", "查": "zha", "盖": "ge",
	"蓋": "ge", "覃": "qin", "朴": "piao", "缪": "miao", "繆": "miao", "翟": "zhai", "乐": "yue", "樂": "yue", "员": "yun",
	"員": "yun", "洗": "xian", "折": "she", "么": "yao", "种": "chong", "秘": "bi", "繁": "po", "祭": "zhai", "召": "shao",
	"卜": "bu", "能": "nai", "句": "gou", "隗": "wei", "都": "du", "佴": "nai", "乜": "nie", "郇": "xun",

	"欧阳": "ou yang", "歐陽": "ou yang", "尉迟": "yu chi", "尉遲": "yu chi", "万俟": "mo qi", "長孫": "zhang sun",
	"长孙": "zhang sun", "令狐": "ling hu", "澹台": "tan tai", "澹臺": "tan tai", "皇甫": "huang fu", "鲜于": "xian yu",
	"鮮于": "xian yu", "单于": "chan yu", "單于": "chan yu", "呼延": "hu yan", "夏侯": "xia hou", "诸葛": "zhu ge",
	"諸葛": "zhu ge", "上官": "shang guan", "司马": "si ma", "司馬": "si ma", "司徒": "si tu", "司空": "si kong", "司寇": "si kou",
	"东方": "dong fang", "東方": "dong fang", "独孤": "du gu", "獨孤": "du gu", "南宫": "nan gong", "南宮": "nan gong",
	"慕容": "mu rong", "端木": "duan mu", "公孙": "gong sun", "公孫": "gong sun", "轩辕": "xuan yuan", "軒轅": "xuan yuan",
	"宇文": "yu wen", "申屠": "shen tu", "太史": "tai shi", "濮阳": "pu yang", "濮陽": "pu yang", "淳于": "chun yu",
	"钟离": "zhong li", "鍾離": "zhong li", "闻人": "wen ren", "聞人": "wen ren", "赫连": "he lian", "赫連": "he lian",
	"拓跋": "tuo ba", "百里": "bai li", "东郭": "dong guo", "東郭": "dong guo", "南门": "nan men", "南門": "nan men", "西门": "xi men",
	"西門": "xi men", "公冶": "gong ye", "宗政": "zong zheng", "仲孙": "zhong sun", "仲孫": "zhong sun", "梁丘": "liang qiu",
	"左丘": "zuo qiu", "亓官": "qi guan", "巫马": "wu ma", "巫馬": "wu ma", "公西": "gong xi", "颛孙": "zhuan sun",
	"顓孫": "zhuan sun", "壤驷": "rang si", "公良": "gong liang", "漆雕": "qi diao", "乐正": "yue zheng", "樂正": "yue zheng",
	"谷梁": "gu liang", "穀梁": "gu liang", "闾丘": "lyu qiu", "閭丘": "lyu qiu", "纳兰": "na lan", "納蘭": "na lan",
	"完颜": "wan yan", "完顏": "wan yan", "叶赫": "ye he", "宰父": "zai fu", "羊舌": "yang she", "微生": "wei sheng",
}
