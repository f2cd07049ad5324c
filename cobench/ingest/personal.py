"""Does a column hold people? What may, is never shown when a file is inspected."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cobench.ingest.text import clean_text

# Headers of what identifies somebody, or describes somebody's home in their own words.
_HEADER = re.compile(
    r"姓名|名字|昵称|学籍号|身份证|证件|电话号|手机|联系电话|联系方式号|住址|地址|微信号|QQ号|邮箱|openid|学号|考号|"
    r"孩子叫|监护人|填写人|提交人|[Nn]ame\b|[Ee]mail|[Pp]hone|IP|^(?:\d+[、.])?.{0,4}(?:班主任|教师|老师)$"
)
# Headers of questions that are answered in one's own words.
_OPEN = re.compile(
    r"还想说|想说的话|意见|建议|请填写|请说明|请注明|具体|为什么|原因是|谈谈|感受|留言|备注|_TEXT$|comment|remark|\bnotes?\b"
)
_LONG_NUMBER = re.compile(r"\d{6,}")
_HAN_NAME = re.compile(r"[\u3400-\u9fff]{2,4}|[\u3400-\u9fff]+[·•][\u3400-\u9fff]+")
_DOUBLE = ("欧阳", "司马", "上官", "诸葛", "东方", "皇甫", "尉迟", "公孙", "令狐", "慕容")
# Common family names; a rare one is caught only where half of its column is caught.
_FAMILY = frozenset(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许邓韩冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆"
    "范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常汤康易乔赖文施洪季庞颜倪"
)
# 赵老师, 李小花妈妈: a family name before what somebody is called.
# Not 科任老师, 向老师请教, 对于老师.
_CALLED = re.compile(
    "(?:[" + "".join(sorted(_FAMILY - set("任向于"))) + "]|(?<![主科责])任)"
    "[\u3400-\u9fff]{0,2}(?:老师|主任|校长|妈妈|爸爸|奶奶|爷爷|同学)"
)


def names_people(header: str) -> bool:
    """Whether a header says that its column identifies somebody."""
    return _HEADER.search(clean_text(header)) is not None


def asks_for_words(header: str) -> bool:
    """Whether a header says that it is answered in one's own words."""
    return _OPEN.search(clean_text(header)) is not None


def may_be_people(values: Iterable[str]) -> bool:
    """Whether values look like names, or hold long numbers: half of them are enough to keep all of them back."""
    values = [clean_text(value) for value in values]
    if any(_LONG_NUMBER.search(value) for value in values):
        return True
    if any(_CALLED.search(value) for value in values):
        return True
    named = sum(map(_is_name, values))
    return named > 0 and 2 * named >= len(values)


def _is_name(value: str) -> bool:
    # 常常 and its like are words: nobody's given name repeats the family name.
    if _HAN_NAME.fullmatch(value) is None or value == 2 * value[0]:
        return False
    return value[0] in _FAMILY or value.startswith(_DOUBLE)
