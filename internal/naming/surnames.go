package naming

// surnames are the surnames of two characters, and those that are read differently as a
// surname than elsewhere, in both scripts. Where regions differ (覃 Qin or Tan, 盖 Ge or
// Gai) the reading is that of the Xiandai Hanyu Cidian for the surname; the key pinyin of a
// rule has another one.
var surnames = map[string]string{
	"单": "shan", "單": "shan", "曾": "zeng", "解": "xie", "仇": "qiu", "区": "ou", "區": "ou", "查": "zha", "任": "ren",
	"华": "hua", "華": "hua", "盖": "ge", "蓋": "ge", "覃": "qin", "朴": "piao", "缪": "miao", "繆": "miao", "翟": "zhai",
	"尉": "wei", "乐": "yue", "樂": "yue", "员": "yun", "員": "yun", "冼": "xian", "洗": "xian", "折": "she", "么": "yao",
	"种": "chong", "秘": "bi", "繁": "po", "晁": "chao", "纪": "ji", "紀": "ji", "祭": "zhai", "召": "shao", "车": "che",
	"車": "che", "谌": "chen", "諶": "chen", "卜": "bu", "柏": "bai", "葛": "ge", "那": "na", "能": "nai", "句": "gou",
	"哈": "ha", "黑": "he", "隗": "wei", "牟": "mu", "宁": "ning", "寧": "ning", "甯": "ning", "都": "du", "过": "guo",
	"逄": "pang", "宓": "mi", "郗": "xi", "费": "fei", "費": "fei", "贾": "jia", "賈": "jia", "沈": "shen", "石": "shi",
	"叶": "ye", "葉": "ye", "阚": "kan", "闞": "kan", "靓": "jing", "应": "ying", "應": "ying", "佴": "nai", "莘": "shen",
	"燕": "yan", "令": "ling", "俞": "yu", "余": "yu", "干": "gan", "于": "yu", "臧": "zang", "乜": "nie", "万": "wan",
	"钻": "zuan", "相": "xiang", "晟": "cheng", "盛": "sheng", "朝": "chao", "长": "chang", "重": "chong", "宿": "su",
	"殷": "yin", "尹": "yin", "行": "xing", "降": "jiang", "洪": "hong", "强": "qiang", "給": "ji", "给": "ji", "撒": "sa",
	"褚": "chu", "郇": "xun", "藏": "zang", "载": "dai", "呙": "guo", "郄": "qie", "芮": "rui", "不": "fou", "戚": "qi",

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
